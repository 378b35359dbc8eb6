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

from holders import AIRFLOW, FEDERATION, HELD_BY, SITES
from loan_scoring import settings
from loan_scoring.errors import ContractError
from loan_scoring.local import airflow_environment, env_file

REPOSITORY = Path(__file__).resolve().parents[2]
PIN = re.compile(r"[\w-]+(\[[\w,-]+\])?==")
SECRET = re.compile(r"PASSWORD|SECRET|KEY|CONN(?!ECTION_)|URL")
WRITE = {
    "landing": {"init", "worker"},
    "artifacts": {"init", "worker"},
    "federated": {"worker", "superlink", "federation"},
    "sites": SITES,
    "quality": {"init", "worker"},
}
"""Services that may write to a volume."""

ENDS = ("init", "federation-certificates")

OWN_WAY = {"AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION",
           "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"}  # fmt: skip
"""Settings that differ on purpose between compose and `make up`."""


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    parsed = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    found: dict[str, dict[str, Any]] = parsed["services"]
    assert set(found) == {
        "postgres", "redis", "init", "api-server", "scheduler", "dag-processor", "triggerer",
        "worker", "mlflow", "housekeeping", "stream", "spark-master",
        "spark-worker", *FEDERATION, *SITES,
    }  # fmt: skip
    return found


def test_every_service_is_pinned_bounded_restarted_and_not_root(services) -> None:
    for name, service in services.items():
        image = default(service["image"])
        tag = image.partition(":")[2]
        assert tag not in ("", "latest"), name
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory"} <= limits.keys(), name
        assert 0 < limits["pids"] <= 4096, name
        assert service["read_only"] is True, name
        on_disk = name in ("init", "worker")  # what goes through there may not fit into memory
        assert ("/tmp" in service["tmpfs"], "/tmp" in service.get("volumes", [])) == (
            not on_disk, on_disk,
        ), name  # fmt: skip
        assert service["restart"] == ("on-failure:3" if name in ENDS else "unless-stopped")
        assert service["user"] in ("postgres", "redis", "${AIRFLOW_UID:-50000}:0"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name


def test_every_service_that_stays_has_a_health_check(services) -> None:
    for name, service in services.items():
        if name not in ENDS:  # it ends, and others wait for its end
            assert service["healthcheck"]["test"], name
            assert service["healthcheck"]["timeout"], name


def test_airflow_starts_where_the_set_up_has_succeeded(services) -> None:
    ended = {"condition": "service_completed_successfully"}
    for name in set(services) - {"postgres", "redis", "init"} - FEDERATION - SITES:
        first = {"init": ended}
        if name == "stream":
            first["redis"] = {"condition": "service_healthy"}
        assert services[name]["depends_on"] == first, name


@pytest.mark.attack
def test_ports_are_this_machines_alone(services) -> None:
    published = {name: s["ports"] for name, s in services.items() if "ports" in s}
    assert set(published) == {"postgres", "api-server", "mlflow"}
    for name, ports in published.items():
        assert all(port.startswith("127.0.0.1:${LOAN_SCORING_") for port in ports), name


@pytest.mark.attack
def test_each_service_gets_the_secrets_that_it_uses(services) -> None:
    text = {name: yaml.safe_dump(service) for name, service in services.items()}
    secrets = set(re.findall(r"\$\{(\w+(?:PASSWORD|SECRET|KEY))\b", str(text))) | {
        *env_file.PASSWORDS, *env_file.USER_PASSWORDS,
    }  # fmt: skip
    assert secrets <= HELD_BY.keys()
    for secret, held in HELD_BY.items():
        assert {name for name in text if f"${{{secret}:" in text[name]} == held, secret


def test_table_of_the_docs_says_who_has_which_secret() -> None:
    page = (REPOSITORY / "docs" / "security.md").read_text()
    told = {
        secret: set(re.findall(r"[\w-]+", services))
        for secrets, services in re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", page, re.M)
        for secret in re.findall(r"`(\w+)`", secrets)
    }
    assert {secret: told.get(secret) for secret in HELD_BY} == HELD_BY


@pytest.mark.attack
def test_connections_of_tasks_and_keys_of_buckets_reach_the_services_that_use_them(
    services,
) -> None:
    files = {
        name: [file["path"] for file in service.get("env_file", [])]
        for name, service in services.items()
    }
    assert [name for name in files if "connections.env" in files[name]] == ["worker"]
    assert files["mlflow"] == ["mlflow.env"]
    assert {name for name in files if "settings.env" in files[name]} == AIRFLOW | {"stream"}


@pytest.mark.attack
def test_no_command_or_health_check_expands_a_secret(services) -> None:
    """The shell puts a variable into the arguments of what it starts; builtins start nothing."""
    for name, service in services.items():
        for key in ("command", "entrypoint"):
            expanded = re.findall(r"\$\{(\w+)", str(service.get(key, "")))
            assert set(expanded) <= {"LOAN_SCORING_STREAM_PORTFOLIO"}, name
        check = str(service.get("healthcheck", {}).get("test", ""))
        used = {word for word in re.findall(r"\$\$(\w+)", check) if SECRET.search(word)}
        assert not used or check.count('BROKER_URL="$$AIRFLOW__CELERY__BROKER_URL" celery') == 1
        assert "--broker" not in check
    assert "--requirepass" not in str(services["redis"]["command"])
    (waits,) = {services[name]["environment"]["CONNECTION_CHECK_MAX_COUNT"] for name in AIRFLOW}
    assert waits == "0"  # the entry point of Airflow's image has the broker's URL as an argument


def test_docs_put_no_password_on_a_command_line() -> None:
    """Every process of a machine can read the arguments of the others."""
    pages = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
    pages += (REPOSITORY / "docs").glob("*.md")
    lines = [
        f"{page.name}: {line.strip()}" for page in pages for line in page.read_text().splitlines()
        if re.match(r" {4,}(docker|\S*psql|\S*pg_\w+|redis-cli|curl|\S*/bin/|export |env )", line)
    ]  # fmt: skip
    assert len(lines) > 100
    assert not [line for line in lines if re.search(r"://[^/ ]*:[^/ ]+@|PASSWORD=|_KEY=", line)]


@pytest.mark.attack
def test_databases_are_apart_and_volumes_are_read_only_where_they_are_only_read(services) -> None:
    networks = {name: set(service["networks"]) for name, service in services.items()}
    assert {name for name in networks if "front" not in networks[name]} == {
        "postgres", "redis", "init", "scheduler", "housekeeping", "spark-master", "spark-worker",
        *FEDERATION, *SITES,
    }  # fmt: skip
    # The server of federated training reaches no database, and its sites reach nothing else.
    assert {name for name in networks if "database" not in networks[name]} == FEDERATION
    assert all(networks[name] == {"database", "federation"} for name in SITES)
    for volume, writers in WRITE.items():
        found = {
            name: [
                each for each in service.get("volumes", [])
                if re.match(rf"(\$\{{\w+:-)?{volume}\}}?:", each)
            ]
            for name, service in services.items()
        }  # fmt: skip
        assert {
            name for name, each in found.items() if each and not each[0].endswith(":ro")
        } == writers, volume


def test_no_secret_stands_in_the_file(services) -> None:
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) and "://" not in value and "@" not in value:
                assert value.startswith("${"), f"{name}: {variable}"
            # user:password@ of a URL, and no password without a value of .env
            for password in re.findall(r"://\w*:(.+?)@", value):
                assert re.fullmatch(r"\$\{\w+:\?run make env first\}", password), (name, variable)


def default(text: str) -> str:
    """Return a text with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_a_volume_has_a_name_or_the_place_that_env_gives_it(services) -> None:
    parsed = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    used = set()
    for service in services.values():
        for volume in service.get("volumes", []):
            used.add(default(volume).partition(":")[0])
    assert used - {"/tmp", "/var/run/postgresql"} == set(parsed["volumes"])


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
    assert re.findall(r"^FROM (\S+)", dockerfile, re.M) == ["${AIRFLOW_IMAGE}"]
    base = re.search(r"^ARG AIRFLOW_IMAGE=(\S+)", dockerfile, re.M)
    assert base is not None
    assert base[1] == "apache/airflow:3.3.2-python3.11"
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
    assert default(compose["services"]["init"]["build"]["args"]["AIRFLOW_IMAGE"]) == base[1]
    assert re.findall(r"^USER (\S+)", dockerfile, re.M)[-1] == "airflow"
    uv = re.search(r"uv==(\S+)", dockerfile)
    assert uv is not None
    assert f"UV_VERSION := {uv[1]}\n" in (REPOSITORY / "Makefile").read_text()


def test_image_has_the_versions_of_the_tests() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (REPOSITORY / name).read_text().splitlines()
        return dict(re.split(" ;| ", line)[0].split("==") for line in lines if PIN.match(line))

    image, tests = pins("requirements-image.txt"), pins("requirements.txt")
    extras = pins("requirements-extras.txt")
    # OR-Tools, of the extra scorecard, refuses the newer one.
    assert {name for name in extras.keys() & tests.keys() if extras[name] != tests[name]} <= {
        "protobuf"
    }
    assert {"optbinning", "optuna", "python-calamine"} <= extras.keys()
    assert {name: image[name] for name in image.keys() & tests.keys()} == {
        name: tests[name] for name in image.keys() & tests.keys()
    }
    assert {"celery", "redis", "apache-airflow-providers-celery", "s3fs"} <= image.keys()
    assert not {"pytest", "ruff", "moto"} & image.keys()
    scans = pins("requirements-image-scans.txt")
    assert {name: scans[name] for name in image} == image
    assert {"rapidocr-onnxruntime", "pypdfium2"} <= scans.keys()
    spark = pins("requirements-spark.txt")
    assert spark.keys() - tests.keys() == {"py4j", "pyspark"}
    assert {name: tests[name] for name in spark.keys() & tests.keys()}.items() <= spark.items()


@pytest.mark.attack
def test_packages_are_pinned_with_hashes_and_without_addresses() -> None:
    for name in (f"requirements{each}.txt" for each in ("", "-image", "-extras", "-spark")):
        text = (REPOSITORY / name).read_text()
        assert "://" not in text, name
        pinned = re.findall(r"^[\w-]+(?:\[[\w,-]+\])?==.*\\\n(?: +--hash=sha256:[0-9a-f]{64}.*\n)+", text, re.M)  # fmt: skip # noqa: E501
        lines = [line for line in text.splitlines() if line and line[0] not in " #"]
        assert len(pinned) == len(lines) > 100, name
    for name in ("Makefile", "Dockerfile", "Dockerfile.spark"):
        installs = re.findall(r"uv pip install .*-r \S+", (REPOSITORY / name).read_text())
        assert installs, name
        assert all("--require-hashes" in each for each in installs), name


def test_context_of_the_build_is_what_the_dockerfile_copies() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    names = ("Dockerfile", "Dockerfile.spark", "Dockerfile.federated")
    files = [(REPOSITORY / name).read_text() for name in names]
    copied = re.findall(r"^COPY --chown=\w+:0 (.+) \S+$", "\n".join(files), re.M)
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
            [*command, "--profile=mlflow", "--profile=spark", "config", *options],
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
    for name in ("api-server", "worker"):
        assert variables[name]["LOAN_SCORING_DATABASE_URL"] == elsewhere
    assert variables["api-server"]["AIRFLOW_CONN_LOAN_SCORING_READER"] == elsewhere
    assert variables["mlflow"]["LOAN_SCORING_MLFLOW_URL"] == elsewhere
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


def test_env_of_an_earlier_release_gets_the_secrets_that_it_lacks(tmp_path: Path) -> None:
    new = ("LOAN_SCORING_MLFLOW_PASSWORD", "AIRFLOW_RESULTS_PASSWORD", "MLFLOW_VIEWER_PASSWORD")
    lines = env_file.env_file_content("prod").splitlines()
    old = "\n".join(line for line in lines if not line.startswith(new))
    for end in ("", "\n"):
        path = tmp_path / ".env"
        path.write_text(old + end)
        (tmp_path / "connections.env").write_text(
            "AIRFLOW_CONN_A=b\nAIRFLOW__METRICS__OTEL_ON=True\n"
        )
        script = REPOSITORY / "include" / "loan_scoring" / "local" / "env_file.py"
        command = [sys.executable, "-I", str(script), "nonprod", "--path", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"added {', '.join(new)}, and changed nothing else" in said
        assert "move AIRFLOW__METRICS__OTEL_ON from connections.env to settings.env" in said
        after = read(path.read_text())
        assert {name: after[name] for name in after if name not in new} == read(old)
        assert all(len(after[name]) >= 24 for name in new)
        again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "left as it is" in again


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
