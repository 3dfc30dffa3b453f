"""The files that deploy the service name settings, routes and ports that exist; the Dockerfile's steps are sound."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

from handlens import __version__  # noqa: E402
from handlens.errors import UsageError  # noqa: E402
from handlens.identifier import Identifier  # noqa: E402
from handlens.service import create_app  # noqa: E402
from handlens.service.keys import Keys, new_key  # noqa: E402
from handlens.service.settings import Settings  # noqa: E402

ROOT = Path(__file__).parents[1]
DOCKERFILE, COMPOSE = ROOT / "Dockerfile", ROOT / "deploy" / "compose.yaml"
KUBERNETES, CADDYFILE = ROOT / "deploy" / "kubernetes.yaml", ROOT / "deploy" / "Caddyfile"


@pytest.fixture(scope="module")
def check() -> Any:
    spec = importlib.util.spec_from_file_location("check_dockerfile", ROOT / "scripts" / "check_dockerfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(KUBERNETES.read_text())}


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("hadolint is not installed: it comes with the extra dev")
    found = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_every_variable_is_a_setting() -> None:
    known = {f"HANDLENS_{name.upper()}" for name in Settings.model_fields}
    known.add("HANDLENS_DOMAIN")  # of the compose file itself
    for file in (DOCKERFILE, COMPOSE, KUBERNETES, CADDYFILE):
        named = set(re.findall(r"HANDLENS_[A-Z_]+", file.read_text()))
        assert named <= known, file.name
    assert "HANDLENS_TRUSTED_PROXIES" in COMPOSE.read_text()


def test_probes_and_health_ask_for_routes_that_there_are(documents: dict[str, Any], identifier: Identifier) -> None:
    paths = create_app(identifier).openapi()["paths"]
    container = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] in paths
        assert asked["port"] == container["ports"][0]["name"]
    assert container["ports"][0]["containerPort"] == Settings().port
    assert "/livez" in DOCKERFILE.read_text()
    assert f"EXPOSE {Settings().port}" in DOCKERFILE.read_text()
    assert f"reverse_proxy handlens:{Settings().port}" in CADDYFILE.read_text()


def test_what_was_begun_may_be_finished(documents: dict[str, Any]) -> None:
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= Settings().shutdown_timeout + 5
    compose = yaml.safe_load(COMPOSE.read_text())
    assert int(compose["services"]["handlens"]["stop_grace_period"].removesuffix("s")) > Settings().shutdown_timeout


def test_nothing_runs_with_more_rights_than_it_needs(documents: dict[str, Any]) -> None:
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert re.search(rf"^USER {pod['securityContext']['runAsUser']}:", DOCKERFILE.read_text(), re.MULTILINE)
    for name, service in yaml.safe_load(COMPOSE.read_text())["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
    assert documents["NetworkPolicy"]["spec"]["egress"] == []


def in_bytes(text: str) -> int:
    """A size of compose (768m), Kubernetes (768Mi) or Caddy (65MiB, or 65MB of a million)."""
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]+)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 2**20, "Mi": 2**20, "MiB": 2**20, "MB": 10**6}[unit]


def image_settings(check: Any) -> Settings:
    """The settings that the image is run with."""
    values: dict[str, str] = {}
    for one in check.instructions(DOCKERFILE.read_text()):
        if one.name == "ENV":
            values |= check.assignments(one.text, {})
    names = {name.removeprefix("HANDLENS_").lower(): value for name, value in values.items() if "HANDLENS_" in name}
    return Settings.model_validate(names)


def test_the_proxy_lets_through_what_the_service_takes() -> None:
    most = in_bytes(re.search(r"max_size (\w+)", CADDYFILE.read_text())[1])  # type: ignore[index]
    assert most > max(Settings().max_batch_bytes, Settings().max_body_bytes)
    wait = int(re.search(r"response_header_timeout (\d+)s", CADDYFILE.read_text())[1])  # type: ignore[index]
    assert wait > Settings().request_timeout


def test_what_may_be_in_hand_fits_the_memory(check: Any, documents: dict[str, Any]) -> None:
    settings = image_settings(check)
    assert settings.max_uploads_bytes >= settings.max_batch_bytes
    # Two of the largest photos, as measured in docs/deployment.md; a body takes up to three times its size.
    needed = 765 * 2**20 + 3 * settings.max_uploads_bytes
    container = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert in_bytes(container["resources"]["limits"]["memory"]) > needed
    assert in_bytes(yaml.safe_load(COMPOSE.read_text())["services"]["handlens"]["mem_limit"]) > needed
    assert in_bytes(re.search(r"-m (\w+)", (ROOT / "docs" / "deployment.md").read_text())[1]) > needed  # type: ignore[index]


def test_every_document_says_what_it_is() -> None:
    for one in yaml.safe_load_all(KUBERNETES.read_text()):
        assert {"apiVersion", "kind", "metadata"} <= set(one)
        assert one["metadata"]["name"].startswith("handlens")
        assert ("stringData" if one["kind"] == "Secret" else "spec") in one


def test_selectors_find_the_pods(documents: dict[str, Any]) -> None:
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    for kind, path in (("Service", ()), ("PodDisruptionBudget", ("matchLabels",)), ("Deployment", ("matchLabels",))):
        selector = documents[kind]["spec"]["selector"]
        for step in path:
            selector = selector[step]
        assert selector.items() <= labels, kind
    assert documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "handlens"


def test_the_image_has_a_python_and_the_versions_that_are_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    minor = int(re.search(r"FROM python:3\.(\d+)\.", DOCKERFILE.read_text())[1])  # type: ignore[index]
    assert minor >= int(project["requires-python"].removeprefix(">=3."))
    locked = (ROOT / "requirements" / "serve.txt").read_text()
    for wanted in (*project["dependencies"], *project["optional-dependencies"]["serve"]):
        name = re.split(r"[<>=;\[ ]", wanted)[0]
        assert re.search(rf"^{name}==", locked, re.MULTILINE), name
    assert locked.count("--hash=sha256:") > 100
    for file in (COMPOSE, KUBERNETES):
        assert f"image: handlens:{__version__}" in file.read_text()


# The script that goes through the Dockerfile's steps.


def test_instructions_are_read(check: Any) -> None:
    found = check.instructions('# a\nFROM x:1 AS b\n\nRUN a \\\n  && b\nCMD ["c"]\n')
    assert [(one.line, one.name, one.text) for one in found] == [
        (2, "FROM", "x:1 AS b"),
        (4, "RUN", "a && b"),
        (6, "CMD", '["c"]'),
    ]
    with pytest.raises(check.StepError):
        check.instructions("RUN a \\\n")


def test_the_shell_form_is_refused(check: Any) -> None:
    assert check.exec_form('["a", "b c"]') == ["a", "b c"]
    for text in ("a b", '{"a": 1}', "[1]"):
        with pytest.raises(check.StepError):
            check.exec_form(text)


def test_variables_build_on_each_other(check: Any) -> None:
    assert check.assignments('A=1 PATH=/opt/x:$PATH B="c d"', {"PATH": "/bin"}) == {
        "A": "1",
        "PATH": "/opt/x:/bin",
        "B": "c d",
    }


def test_what_dockerignore_leaves_out(check: Any) -> None:
    patterns = ["*", "!src", "!LICENSE", "src/secret", "**/__pycache__"]
    assert not check.ignored("LICENSE", patterns)
    assert not check.ignored("src/a/b.py", patterns)
    for path in ("tests", "tests/a.py", "src/secret", "src/secret/a", "src/a/__pycache__"):
        assert check.ignored(path, patterns), path


def dockerfile(folder: Path, *steps: str) -> list[str]:
    (folder / "here.txt").write_text("here")
    (folder / "Dockerfile").write_text("\n".join(("FROM python:3.13.1-slim AS one", *steps)) + "\n")
    return ["--file", str(folder / "Dockerfile"), "--context", str(folder)]


def test_steps_are_run_in_their_stage(check: Any, tmp_path: Path) -> None:
    work, context = tmp_path / "work", tmp_path / "context"
    work.mkdir()
    context.mkdir()
    (context / "here.txt").write_text("here")
    build = check.Build(context, work)
    text = (
        "FROM python:3.13.1-slim AS one\nENV WORD=said\nWORKDIR /build\nCOPY here.txt ./\n"
        "RUN mkdir /opt && echo $WORD > /opt/out && cat here.txt >> /opt/out\n"
        "FROM python:3.13.1-slim\nCOPY --from=one /opt /opt\nUSER 5:5\n"
    )
    assert {build.run(one) for one in check.instructions(text)} == {"ok"}
    assert (build.root / "opt" / "out").read_text() == "said\nhere"
    assert not (build.root / "build").exists()
    assert build.stage.user == "5:5"


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("RUN exit 3", "exit status 3"),
        ("COPY there.txt ./", "not in the build context"),
        ("COPY --from=two /opt /opt", "no stage two"),
        ("USER root", "must be a number"),
        ("CMD handlens serve", "not in the exec form"),
        ("FROM python:latest", "must be of a version"),
        ("ADD here.txt ./", "does not know"),
    ],
)
def test_a_step_that_fails_is_named(
    check: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, step: str, why: str
) -> None:
    monkeypatch.setattr("sys.argv", ["check_dockerfile.py", *dockerfile(tmp_path, step)])
    assert check.main() == 1
    said = capsys.readouterr().err
    assert why in said
    assert "line 2" in said


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("ENV", "A 1", "NAME=VALUE"),
        ("RUN", "apt-get install -y curl", "--no-install-recommends"),
        ("RUN", "apt-get install -y --no-install-recommends curl", "lists"),
        ("RUN", "true && useradd app", "user without a number"),
        ("RUN", "groupadd app", "group without a number"),
        ("RUN", "useradd --uid 5 app && )", "shell cannot read"),
    ],
)
def test_the_form_of_a_step_is_checked(check: Any, tmp_path: Path, name: str, text: str, why: str) -> None:
    build = check.Build(tmp_path, tmp_path)
    build.stages.append(check.Stage("one"))
    with pytest.raises(check.StepError, match=why):
        build.run(check.Instruction(1, name, text))


def test_what_needs_root_is_not_run(check: Any, tmp_path: Path) -> None:
    build = check.Build(tmp_path, tmp_path)
    build.stages.append(check.Stage("one"))
    for text in (
        f"touch {tmp_path}/made && useradd --uid 5 app",
        f"touch {tmp_path}/made; apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*",
    ):
        assert build.run(check.Instruction(1, "RUN", text)) == "not run"
    assert not list(tmp_path.iterdir())
    assert not check.needs_root("python -m pip install apt && echo useradd")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("six-1.17.0.dist-info", "six==1.17.0 is not in lock.txt"),
        ("numpy-1.0.dist-info", "numpy==1.0 is not in lock.txt"),
        ("tests", "is a test"),
        ("handlens/test_a.py", "is a test"),
        ("../pip", "pip is in the image"),
        ("../bin/gcc", "gcc is in the image"),
        ("../a.whl", "is a cache"),
    ],
)
def test_what_the_image_must_not_hold(check: Any, tmp_path: Path, path: str, why: str) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("numpy==2.4.6 ; python_version < '3.12' \\\n    --hash=sha256:0\npydantic-core==2.0\n")
    build = check.Build(tmp_path, tmp_path)
    build.stages.append(check.Stage("one", user="5:5"))
    packages = build.root / "opt" / "site-packages"
    for name in ("numpy-2.4.6.dist-info", "pydantic_core-2.0.dist-info", "handlens-0.1.0.dist-info", "numpy/tests"):
        (packages / name).mkdir(parents=True)
    assert "3 packages" in check.check_contents(build, lock)
    (packages / path).resolve().mkdir(parents=True)
    with pytest.raises(check.StepError, match=re.escape(why)):
        check.check_contents(build, lock)


def test_a_command_that_does_not_answer_is_named(
    check: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = dockerfile(tmp_path, "USER 5:5", 'HEALTHCHECK CMD ["true"]', 'CMD ["sleep", "60"]')
    monkeypatch.setattr("sys.argv", ["check_dockerfile.py", *steps])
    assert check.main() == 1
    assert "NO  the command: " in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["check_dockerfile.py", "--file", str(tmp_path / "none")])
    assert check.main() == 1
    assert f"NO  {tmp_path / 'none'}: " in capsys.readouterr().err


def test_the_manifest_opens_the_service_to_nobody(documents: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(documents["Secret"]["stringData"]["keys"])
    with pytest.raises(UsageError, match="holds no key"):
        Keys.of(Settings(keys_file=path))
    with path.open("a") as file:
        file.write(new_key()[1] + "\n")
    assert Keys.of(Settings(keys_file=path))
