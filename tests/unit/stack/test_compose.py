"""Reading a Compose file: what is honoured, accepted, refused for the sandbox, and plainly wrong."""

import textwrap

import pytest

from chaoskit.errors import BadInput
from chaoskit.stack.model import Healthcheck, Mount


def service(load, body, **env):
    return load(
        "services:\n  a:\n" + textwrap.indent(textwrap.dedent(body), "    "), **env
    ).services["a"]


def problems(load, text):
    with pytest.raises(BadInput) as said:
        load(text)
    return [str(p) for p in said.value.problems]


def service_problems(load, body):
    return problems(
        load, "services:\n  a:\n    command: x\n" + textwrap.indent(textwrap.dedent(body), "    ")
    )


# ---------------------------------------------------------------- honoured


def test_a_stack_has_the_folders_name_and_an_absolute_file(load):
    stack = load("services: {a: {command: x}}")
    assert stack.name == "my-pair"
    assert stack.file == load.folder / "compose.yaml"
    assert (stack.networks, stack.services["a"].networks) == (("default",), {"default": None})


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("command: [a, 'b c', 1, 1.0]", ("a", "b c", "1", "1.0")),
        ("command: a 'b c' \"d\"", ("a", "b c", "d")),
        ("entrypoint: [e, f]\ncommand: g h", ("e", "f", "g", "h")),
        ("entrypoint: e -x", ("e", "-x")),
        ("command: sh -c 'echo $$HOME'", ("sh", "-c", "echo $HOME")),
    ],
)
def test_entrypoint_and_command_become_one_argument_list(load, body, command):
    assert service(load, body).command == command


def test_environment_takes_both_forms_and_passes_names_on(load):
    form1 = service(
        load, "command: x\nenvironment: {A: b, N: 1, V: 1.10, HERE: , GONE: }", HERE="yes"
    )
    assert form1.environment == {"A": "b", "N": "1", "V": "1.10", "HERE": "yes"}
    form2 = service(load, "command: x\nenvironment: [A=b=c, HERE, GONE, E=]", HERE="yes")
    assert form2.environment == {"A": "b=c", "HERE": "yes", "E": ""}


def test_env_files_come_first_and_in_order(load):
    (load.folder / "one.env").write_text(
        "# c\nA=1\nexport B='$HOME'\nC=\"x\\ty\" \nD=a # c\nHERE\n\n"
    )
    (load.folder / "two.env").write_text("A=2\nP=${A}-${HERE:-no}\n")
    found = service(
        load,
        "command: x\nenv_file: [one.env, {path: two.env}, {path: none.env, required: false}]\nenvironment: {D: z}",
        HERE="yes",
    )
    assert found.environment == {
        "A": "2",
        "B": "$HOME",
        "C": "x\ty",
        "D": "z",
        "HERE": "yes",
        "P": "2-yes",
    }


def test_dot_env_beside_the_file_fills_variables_and_the_environment_wins(load):
    (load.folder / ".env").write_text("IMAGE=from-file\nOTHER=o\n")
    found = service(load, "command: ['${IMAGE}', '$OTHER']", IMAGE="from-environment")
    assert found.command == ("from-environment", "o")


@pytest.mark.parametrize(
    ("test", "argv"),
    [
        ("[CMD, curl, -f]", ("curl", "-f")),
        ("[CMD-SHELL, 'a || b']", ("/bin/sh", "-c", "a || b")),
        ("a || b", ("/bin/sh", "-c", "a || b")),
    ],
)
def test_a_health_test_takes_its_three_forms(load, test, argv):
    found = service(
        load,
        f"command: x\nhealthcheck: {{test: {test}, interval: 1m30s, timeout: 500ms, retries: 7, start_period: 2s}}",
    )
    assert found.healthcheck == Healthcheck(argv, 90.0, 0.5, 7, 2.0)


@pytest.mark.parametrize("check", ["{test: [NONE]}", "{test: a, disable: true}"])
def test_a_health_test_can_be_switched_off(load, check):
    assert service(load, f"command: x\nhealthcheck: {check}").healthcheck is None


def test_depends_on_takes_both_forms(load):
    stack = load("""\
        services:
          a: {command: x, depends_on: [b]}
          b: {command: x, depends_on: {c: {condition: service_healthy}}}
          c: {command: x}
        """)
    assert stack.services["a"].depends_on == {"b": "service_started"}
    assert stack.services["b"].depends_on == {"c": "service_healthy"}


def test_whoever_waits_for_health_that_nobody_asks_about_is_refused_in_the_sandbox(load):
    text = """\
        services:
          a: {{command: x, depends_on: {{b: {{condition: service_healthy}}}}}}
          b: {{command: x{check}}}
        """
    (refusal,) = load(text.format(check="")).sandbox_refusals
    assert "a waits until b is healthy, which has no healthcheck and so will never be" in refusal
    assert not load(text.format(check=", healthcheck: {test: y}")).sandbox_refusals


def test_networks_take_both_forms_and_static_addresses(load):
    stack = load("""\
        services:
          a: {command: x, networks: {lab: {ipv4_address: 198.18.0.2}, side: }}
          b: {command: x, networks: [lab]}
          c: {command: x}
        networks: {lab: {internal: true, ipam: {config: [{subnet: 198.18.0.0/24}]}}, side: }
        """)
    assert stack.services["a"].networks == {"lab": "198.18.0.2", "side": None}
    assert stack.services["b"].networks == {"lab": None}
    assert stack.networks == ("lab", "side", "default")
    assert stack.sandbox_refusals == ()


def test_volumes_take_all_forms(load):
    stack = load("""\
        services:
          a:
            command: x
            volumes:
              - ./conf:/etc/x:ro
              - data:/data
              - /anon
              - {type: bind, source: /srv, target: /srv2, read_only: true}
              - {type: volume, source: data, target: /data2}
              - {type: tmpfs, target: /t, tmpfs: {size: 512k, mode: 1023}}
            tmpfs: [/run, "/tmp:size=64m"]
        volumes: {data: }
        """)
    assert stack.services["a"].mounts == (
        Mount("/etc/x", str(load.folder / "conf"), "bind", True),
        Mount("/data", "data", "volume"),
        Mount("/anon", "a-volume-3", "volume"),
        Mount("/srv2", "/srv", "bind", True),
        Mount("/data2", "data", "volume"),
        Mount("/t", None, "tmpfs", size=512 << 10),
        Mount("/run", None, "tmpfs"),
        Mount("/tmp", None, "tmpfs", size=64 << 20),
    )
    assert stack.volumes == ("data", "a-volume-3")


def test_a_size_of_a_tmpfs_that_is_none_is_said_at_its_place(load):
    assert service(load, "command: x\ntmpfs: /t:size=50%").mounts[0].size == 0
    with pytest.raises(BadInput, match=r"compose.yaml:\d+:\d+: size of a tmpfs: .*'much'"):
        service(load, "command: x\ntmpfs: /t:size=much")


@pytest.mark.parametrize(
    ("said", "name"),
    [("SIGINT", "SIGINT"), ("TERM", "SIGTERM"), ("9", "SIGKILL"), ("'3'", "SIGQUIT")],
)
def test_a_stop_signal_is_named(load, said, name):
    assert service(load, f"command: x\nstop_signal: {said}").stop_signal == name


def test_the_small_keys_are_read(load):
    found = service(
        load,
        "command: x\nworking_dir: /w\nuser: 1000:1000\ninit: true\nstop_grace_period: 1m\nimage: i\nbuild: .",
    )
    assert (found.working_dir, found.user, found.init, found.stop_grace_period_s) == (
        "/w",
        "1000:1000",
        True,
        60,
    )
    assert (found.image, found.has_build, found.line) == ("i", True, 2)


def test_anchors_merge_keys_and_labels_in_both_forms_work(load):
    stack = load("""\
        x-base: &base
          command: x
          labels: {chaoskit.role: backup}
        services:
          a: {<<: *base, user: root}
          b: {<<: *base, labels: [chaoskit.role=primary, empty]}
        """)
    assert stack.services["a"].role() == "backup"
    assert dict(stack.services["b"].labels) == {"chaoskit.role": "primary", "empty": ""}


# ---------------------------------------------------------------- accepted without effect


def test_what_has_no_effect_is_accepted_and_said_once(load):
    stack = load("""\
        version: "3.8"
        services:
          a: {command: x, image: i, build: ., tty: true, restart: "no", ports: ["80:80"], cap_add: [NET_ADMIN], x-y: 1}
          b: {command: x, image: i, expose: ["80"], logging: {driver: none}, pull_policy: always}
        """)
    assert stack.sandbox_refusals == ()
    assert "'image' of a and b has no effect in the sandbox lab" in stack.notes
    for key in (
        "version",
        "build",
        "tty",
        "ports",
        "cap_add",
        "x-y",
        "expose",
        "logging",
        "pull_policy",
    ):
        assert sum(f"'{key}'" in note for note in stack.notes) == 1, key


def test_a_variable_that_is_not_set_is_said_by_name_only(load):
    stack = load(
        "services: {a: {command: 'x $NOT_SET_ANYWHERE', environment: {S: $SECRET_OF_MINE}}}",
        SECRET_OF_MINE="hunter2",
    )
    assert stack.notes == ("the variable NOT_SET_ANYWHERE is not set; it counts as empty",)


# ---------------------------------------------------------------- plainly wrong


WRONG = {
    "comand: x": "4:5: unknown key 'comand' in service 'a'; did you mean 'command'?",
    "entrypoint: \"a 'b\"": "4:17: entrypoint cannot be split into words: no closing quotation",
    "environment: {A: true}": "4:22: environment: put quotes around 'true'; Compose takes no booleans here",
    "environment: 3": "4:18: environment must be a mapping of keys to values",
    "env_file: none.env": "4:15: env_file 'none.env': cannot be read: No such file or directory",
    "healthcheck: {test: [XMD, a]}": "4:25: test must be [CMD, program, ...], [CMD-SHELL, 'one line'], [NONE] or a text",
    "healthcheck: {test: a, interval: 5}": "4:38: interval: a duration needs a unit; write '5s' or '5ms'",
    "healthcheck: {test: a, retries: many}": "4:37: retries must be a whole number, not 'many'",
    "healthcheck: {interval: 5s}": "4:18: healthcheck without a test; write e.g. test: [CMD, program]",
    "depends_on: [b]": "4:5: depends_on: no service 'b'; known: a",
    "depends_on: [a]": "4:5: services wait for each other in a circle: a → a",
    "depends_on: {a: {condition: service_helthy}}": "4:21: depends_on 'a': unknown condition 'service_helthy'; did you mean 'service_healthy'?",
    "networks: [lab]": "4:5: the network 'lab' is declared nowhere",
    "networks: {default: {ipv4_address: 300.1.1.1}}": "4:40: '300.1.1.1' is not an IPv4 address",
    "volumes: [data:/x]": "4:5: the volume 'data' is declared nowhere",
    "volumes: [a:b:c:d]": "4:15: 'a:b:c:d' is not source:target or source:target:ro",
    "volumes: [./a:/b:rx]": "4:15: unknown option 'rx' of a volume",
    "volumes: [./a:b]": "4:15: 'b' must be an absolute path in the node, and not '/'",
    "volumes: [./a:/b/../..]": "4:15: '/b/../..' must be an absolute path in the node, and not '/'",
    "volumes: [./a:/b, ./c:/b/]": "4:23: '/b/' is mounted twice",
    "volumes: [{type: bind, target: /b}]": "4:15: a volume of type bind needs a source",
    "stop_signal: SIGNOPE": "4:18: unknown signal 'SIGNOPE'; write e.g. SIGTERM, SIGINT or SIGQUIT",
    "init: maybe": "4:11: init must be true or false, not 'maybe'",
    "labels: {a: [b]}": "4:17: labels: 'a' must be one word or text, not a list or mapping",
    "user: [a]": "4:11: user must be one word or text, not a list or mapping",
    "working_dir: ${X": "4:18: '${' without its '}'",
    "working_dir: a$": "4:19: a lone '$'; write '$$' for a dollar sign",
    "working_dir: ${X:?please}": "4:18: the variable X must be set: please",
}  # fmt: skip


@pytest.mark.parametrize("body", WRONG)
def test_a_mistake_is_said_at_its_place(load, body):
    found = service_problems(load, body)
    assert any(p.startswith(f"compose.yaml:{WRONG[body]}") for p in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {}", "has no services"),
        ("name: x", "has no services"),
        ("[a]", "is a mapping"),
        ("service: {a: {command: x}}", "did you mean 'services'"),
        ("services: {a: }", "service 'a' is empty"),
        ("services: {'a b': {command: x}}", "cannot name a service"),
        ("services: {client: {command: x}}", "the lab's own node"),
        ("services: {observer: {command: x}}", "the lab's own node"),
        (
            "services: {a: {command: x}}\nnetworks: {n: {ipam: {config: [{subnet: x}]}}}",
            "not a subnet",
        ),
    ],
)
def test_a_file_that_no_lab_could_run_is_refused(load, text, said):
    assert any(said in p for p in problems(load, text))


def test_a_circle_of_dependencies_is_shown(load):
    found = problems(
        load,
        "services:\n  a: {command: x, depends_on: [b]}\n  b: {command: x, depends_on: [c]}\n  c: {command: x, depends_on: [a]}\n",
    )
    assert "a → b → c → a" in found[0]


def test_an_address_is_given_once_and_lies_in_its_subnet(load):
    found = problems(
        load,
        """\
        services:
          a: {command: x, networks: {n: {ipv4_address: 198.18.0.2}}}
          b: {command: x, networks: {n: {ipv4_address: 198.18.0.2}}}
          c: {command: x, networks: {n: {ipv4_address: 198.18.9.2}}}
        networks: {n: {ipam: {config: [{subnet: 198.18.0.0/24}]}}}
        """,
    )
    assert len(found) == 2
    assert "is the address of 'a' already" in found[0]
    assert "is not in 198.18.0.0/24" in found[1]


def test_all_problems_come_at_once(load):
    assert (
        len(service_problems(load, "user: [a]\ninit: maybe\nvolumes: [v:/x]\nstop_signal: NO")) == 4
    )


def test_no_value_of_the_environment_stands_in_a_problem(load, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_MINE", "hunter2")
    found = service_problems(load, "environment: {A: ['$TOKEN_OF_MINE']}")
    assert found
    assert "hunter2" not in "".join(found)


# ---------------------------------------------------------------- profiles


def test_a_service_of_a_profile_is_left_out_and_told_of(load):
    stack = load("""\
        services:
          a: {command: x, depends_on: {b: {condition: service_healthy, required: false}}}
          b: {command: y, privileged: true, profiles: [debug, tools]}
          c: {command: z, profiles: []}
        """)
    assert list(stack.services) == ["a", "c"]
    assert stack.services["a"].depends_on == {}
    assert stack.sandbox_refusals == ()
    assert "b is not started: it belongs to the profile 'debug'" in stack.notes


def test_nobody_can_wait_for_a_service_that_a_profile_leaves_out(load):
    with pytest.raises(BadInput) as error:
        load("""\
            services:
              a: {command: x, depends_on: [b]}
              b: {command: y, profiles: [debug]}
            """)
    (problem,) = error.value.problems
    assert str(problem).startswith("compose.yaml:2:19: ")
    assert "'b' starts with the profile 'debug' alone" in str(problem)


def test_all_services_in_profiles_are_no_stack(load):
    with pytest.raises(BadInput, match="no service starts without a profile"):
        load("services: {a: {command: x, profiles: [p]}}")
