"""docker-compose.yaml, its image and its `.env` are pinned, bounded, private, without secrets."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import settings
from loan_scoring.errors import ContractError
from loan_scoring.local import airflow_environment, env_file

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = re.compile(r"PASSWORD|SECRET|KEY|CONN|URL")
OWN_WAY = {"AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION",
           "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"}  # fmt: skip
"""Settings that differ on purpose between compose and `make up`."""


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    parsed = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    found: dict[str, dict[str, Any]] = parsed["services"]
    assert set(found) == {
        "postgres", "redis", "init", "api-server", "scheduler", "dag-processor", "triggerer",
        "worker", "mlflow",
    }  # fmt: skip
    return found


def test_every_service_is_pinned_bounded_restarted_and_not_root(services) -> None:
    for name, service in services.items():
        image = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", service["image"])
        tag = image.partition(":")[2]
        assert tag not in ("", "latest"), name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= limits.keys(), name
        assert service["restart"] == ("on-failure:3" if name == "init" else "unless-stopped")
        assert service["user"] in ("postgres", "redis", "${AIRFLOW_UID:-50000}:0"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name


def test_every_service_that_stays_has_a_health_check(services) -> None:
    for name, service in services.items():
        if name != "init":  # it ends, and others wait for its end
            assert service["healthcheck"]["test"], name
            assert service["healthcheck"]["timeout"], name


def test_airflow_starts_where_the_set_up_has_succeeded(services) -> None:
    ended = {"condition": "service_completed_successfully"}
    for name in set(services) - {"postgres", "redis", "init"}:
        assert services[name]["depends_on"] == {"init": ended}, name


def test_ports_are_this_machines_alone(services) -> None:
    published = {name: s["ports"] for name, s in services.items() if "ports" in s}
    assert set(published) == {"postgres", "api-server", "mlflow"}
    for name, ports in published.items():
        assert all(port.startswith("127.0.0.1:${LOAN_SCORING_") for port in ports), name


def test_no_secret_stands_in_the_file(services) -> None:
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) and "://" not in value and "@" not in value:
                assert value.startswith("${"), f"{name}: {variable}"
            # user:password@ of a URL, and no password without a value of .env
            for password in re.findall(r"://\w*:(.+?)@", value):
                assert re.fullmatch(r"\$\{\w+:\?run make env first\}", password), (name, variable)


def test_a_volume_has_a_name_or_the_place_that_env_gives_it(services) -> None:
    parsed = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    used = set()
    for service in services.values():
        for volume in service.get("volumes", []):
            used.add(re.sub(r"\$\{\w+:-(\w+)\}", r"\1", volume).partition(":")[0])
    assert used == set(parsed["volumes"])


def test_containers_run_airflow_with_the_settings_of_make_up(services) -> None:
    own = {
        f"AIRFLOW__{name}": value for name, value in airflow_environment._FIXED_SETTINGS.items()
    } | airflow_environment._TELEMETRY_OFF
    given = services["worker"]["environment"]
    for name in (own.keys() & given.keys()) - OWN_WAY:
        assert given[name] == own[name], name
    assert own.keys() - given.keys() == {"AIRFLOW__API__HOST"}  # there it is 127.0.0.1


def test_image_is_built_as_the_tests_are_run() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", dockerfile, re.M) == ["apache/airflow:3.3.2-python3.11"]
    assert re.findall(r"^USER (\S+)", dockerfile, re.M)[-1] == "airflow"
    uv = re.search(r"uv==(\S+)", dockerfile)
    assert uv is not None
    assert f"UV_VERSION := {uv[1]}\n" in (REPOSITORY / "Makefile").read_text()


def test_image_has_the_versions_of_the_tests() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (REPOSITORY / name).read_text().splitlines()
        return dict(line.split(" ;")[0].split("==") for line in lines if "==" in line.split("#")[0])

    image, tests = pins("requirements-image.txt"), pins("requirements.txt")
    assert {name: image[name] for name in image.keys() & tests.keys()} == {
        name: tests[name] for name in image.keys() & tests.keys()
    }
    assert {"celery", "redis", "apache-airflow-providers-celery", "s3fs"} <= image.keys()
    assert not {"pytest", "ruff", "moto"} & image.keys()


def test_context_of_the_build_is_what_the_dockerfile_copies() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY --chown=airflow:0 (.+) \S+$", dockerfile, re.M)
    assert "*" in ignored
    assert allowed == {each for line in copied for each in line.split()}


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run `docker compose config` with an `.env` and without this environment."""
    if shutil.which("docker") is None:
        pytest.skip("no docker in PATH")
    asked = ["docker", "compose", "version"]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("this docker has no compose plugin")
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | {
        name: value for name, value in os.environ.items() if name.startswith("DOCKER_")
    }

    def read(env: Path, *options: str) -> subprocess.CompletedProcess:
        file = REPOSITORY / "docker-compose.yaml"
        command = ["docker", "compose", f"--env-file={env}", f"--file={file}"]
        return subprocess.run(
            [*command, "--profile=mlflow", "config", *options],
            cwd=tmp_path, env=bare, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return read


@pytest.mark.parametrize("environment", ["nonprod", "prod"])
def test_compose_accepts_the_file_with_what_make_env_writes(
    environment: str, tmp_path: Path, config: Callable
) -> None:
    env_file.write_env_file(tmp_path / ".env", environment)
    done = config(tmp_path / ".env", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_compose_says_what_to_do_without_env(tmp_path: Path, config: Callable) -> None:
    (tmp_path / "empty").touch()
    done = config(tmp_path / "empty", "--quiet")
    assert done.returncode != 0
    assert "run make env first" in done.stderr


def test_one_variable_makes_the_portfolio_database_another_server(
    tmp_path: Path, config: Callable
) -> None:
    env_file.write_env_file(tmp_path / ".env", "prod")
    elsewhere = "postgresql://ann:secret@lender.example/loans"
    with (tmp_path / ".env").open("a") as file:
        file.write(f"LOAN_SCORING_DATABASE_URL={elsewhere}\n")
    services = json.loads(config(tmp_path / ".env", "--format=json").stdout)["services"]
    variables = {name: each.get("environment", {}) for name, each in services.items()}
    for name in ("api-server", "worker", "mlflow"):
        assert variables[name]["LOAN_SCORING_DATABASE_URL"] == elsewhere
        assert variables[name]["AIRFLOW_CONN_LOAN_SCORING_READER"] == elsewhere
    assert variables["init"]["LOAN_SCORING_OWNER_URL"] == elsewhere


def test_env_is_written_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"

    def make(environment: str) -> str:
        script = REPOSITORY / "include" / "loan_scoring" / "local" / "env_file.py"
        command = [sys.executable, "-I", str(script), environment, "--path", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert make("prod") == f"wrote {path} for prod, with new secrets, mode 600\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_text()
    assert "left as it is" in make("nonprod")
    assert path.read_text() == first


def test_environments_differ_by_name_switch_and_promotion_and_share_no_secret() -> None:
    prod, other = (
        read(env_file.env_file_content("prod")),
        read(env_file.env_file_content("nonprod")),
    )
    chosen = {"COMPOSE_PROJECT_NAME", "LOAN_SCORING_ENVIRONMENT", "LOAN_SCORING_PAUSED",
              "LOAN_SCORING_PROMOTION"}  # fmt: skip
    assert prod.keys() == other.keys()
    assert not [name for name in prod if prod[name] == other[name]]
    assert {name: prod[name] for name in chosen} == {
        "COMPOSE_PROJECT_NAME": "loan-scoring-prod", "LOAN_SCORING_ENVIRONMENT": "prod",
        "LOAN_SCORING_PAUSED": "false", "LOAN_SCORING_PROMOTION": "hold",
    }  # fmt: skip
    secrets = [value for name, value in prod.items() if name not in chosen]
    assert min(map(len, secrets)) >= 24
    assert all(re.fullmatch(r"[\w=-]+", value) for value in secrets)
    variables = re.findall(r"\$\{(\w+):\?", (REPOSITORY / "docker-compose.yaml").read_text())
    assert set(variables) <= prod.keys()


def read(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))


def test_promotion_of_the_environment_is_auto_or_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAN_SCORING_PROMOTION", "")
    assert settings.promotion_mode() is None
    monkeypatch.setenv("LOAN_SCORING_PROMOTION", "hold")
    assert settings.promotion_mode() == "hold"
    monkeypatch.setenv("LOAN_SCORING_PROMOTION", "never")
    with pytest.raises(
        ContractError, match="LOAN_SCORING_PROMOTION is never; make it auto or hold"
    ):
        settings.promotion_mode()


def test_ci_runs_what_a_person_runs_with_pinned_actions() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {"make test", "docker compose build", "make test-compose"} <= {
        step.get("run") for step in steps
    }
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
