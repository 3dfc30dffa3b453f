"""Settings: their sources, what is refused, what is shown, and that the documentation tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from handlens.cli.main import main
from handlens.errors import UsageError
from handlens.service.keys import new_key
from handlens.service.settings import Settings, is_loopback
from handlens.service.settings_sources import LoadedSettings, load_settings, variable

DOCS = Path(__file__).resolve().parents[2] / "docs" / "service.md"
HASH = "sha256:" + "0a" * 32


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_command_line_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    path = written(tmp_path, "max_queue = 1\nmax_concurrent = 1\nport = 1\n")
    environment = {"HANDLENS_MAX_CONCURRENT": "7", "HANDLENS_PORT": "7", "PATH": "x"}
    loaded = load_settings({"port": 9}, environment, path)
    assert (loaded.settings.port, loaded.settings.max_concurrent, loaded.settings.max_queue) == (9, 7, 1)
    assert loaded.settings.burst == Settings().burst
    assert dict(loaded.origins) == {
        "port": "command line",
        "max_concurrent": "environment HANDLENS_MAX_CONCURRENT",
        "max_queue": f"file {path}",
    }


def test_every_kind_of_value_can_come_from_the_environment_and_from_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f'host = "::1"\npage = false\nhead_timeout = 2\nkeys = ["{HASH}"]\nkeys_file = "keys"\n'
        'trusted_hosts = ["a.example", "*.b.example"]\nrequests_per_minute = 0\nlog_format = "json"\n',
    )
    from_file = load_settings({}, {}, path).settings
    environment = {
        "HANDLENS_HOST": "::1",
        "HANDLENS_PAGE": "false",
        "HANDLENS_HEAD_TIMEOUT": "2",
        "HANDLENS_KEYS": HASH,
        "HANDLENS_KEYS_FILE": "keys",
        "HANDLENS_TRUSTED_HOSTS": "a.example, *.b.example",
        "HANDLENS_REQUESTS_PER_MINUTE": "0",
        "HANDLENS_LOG_FORMAT": "json",
        "HANDLENS_BURST": "",
    }
    assert load_settings({}, environment).settings == from_file
    assert from_file.trusted_hosts == ("a.example", "*.b.example")
    assert from_file.head_timeout == 2.0
    assert load_settings({}, {"HANDLENS_SETTINGS": str(path)}).settings == from_file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_queu = 3", "max_queu: no such setting"),
        ("[limits]\nmax_queue = 3", "limits: no such setting"),
        ('max_queue = "3"', "max_queue:"),
        ("max_queue = true", "max_queue:"),
        ("max_queue = 2.5", "max_queue:"),
        ("max_queue = -1", "max_queue:"),
        ("head_timeout = nan", "head_timeout:"),
        ("head_timeout = 0", "head_timeout:"),
        ('cors_origins = "https://a.example"', "cors_origins:"),
        ('cors_origins = ["https://a.example/path"]', "cors_origins:"),
        ('trusted_hosts = ["a.example:80"]', "trusted_hosts:"),
        ('trusted_proxies = ["everywhere"]', "trusted_proxies:"),
        ('trusted_proxies = ["10.0.0.1/8"]', "trusted_proxies:"),
        ('log_format = "xml"', "log_format:"),
        ("port = 65536", "port:"),
        ("when = 2020-01-01", "when: no such setting"),
        ("max_queue = ", "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_key(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_settings({}, {}, path)
    assert str(path) in caught.value.detail
    assert said in caught.value.detail


def test_what_is_wrong_elsewhere_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="HANDLENS_KEY_FILE is no setting"):
        load_settings({}, {"HANDLENS_KEY_FILE": "x"})
    with pytest.raises(UsageError, match="HANDLENS_KEYS is empty"):
        load_settings({}, {"HANDLENS_KEYS": " "})
    with pytest.raises(UsageError, match="in the environment: HANDLENS_PORT:"):
        load_settings({}, {"HANDLENS_PORT": "many"})
    with pytest.raises(UsageError, match="in the command line: workers:"):
        load_settings({"workers": 0}, {})
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings({}, {}, tmp_path / "none.toml")


@pytest.mark.parametrize(
    "name", [name for name in Settings.model_fields if name.startswith("max_") or "timeout" in name]
)
def test_a_limit_below_its_least_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({name: -1})
    if name != "max_queue":
        with pytest.raises(ValidationError):
            Settings.model_validate({name: 0})


def test_a_key_in_the_place_of_its_hash_is_refused_and_not_repeated(tmp_path: Path) -> None:
    key, _ = new_key()
    with pytest.raises(UsageError) as caught:
        load_settings({}, {}, written(tmp_path, f'keys = ["{key}"]'))
    assert key not in caught.value.detail
    with pytest.raises(UsageError) as caught:
        load_settings({}, {"HANDLENS_KEYS": key})
    assert key not in caught.value.detail


def test_what_is_shown_can_be_given_again_and_shows_no_secret(tmp_path: Path) -> None:
    given = {"keys": (HASH,), "cors_origins": ("https://a.example",), "bundle": 'a "b"', "head_timeout": 1.5}
    first = load_settings(given, {})
    text = "\n".join(first.lines())
    assert "0a0a" not in text
    assert "# keys: 1, not shown  # command line" in text
    assert "max_queue = 16  # default" in text
    again = load_settings({}, {}, written(tmp_path, text)).settings
    assert again == first.settings.model_copy(update={"keys": ()})
    assert len(list(LoadedSettings(Settings(), {}).lines())) == len(Settings.model_fields)


def test_the_command_shows_settings_and_makes_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDLENS_BURST", "3")
    path = written(tmp_path, "max_queue = 5")
    assert main(["serve", "--show-settings", "--settings", str(path), "--no-page", "--port", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {
        "burst = 3  # environment HANDLENS_BURST",
        f"max_queue = 5  # file {path}",
        "page = false  # command line",
        "port = 0  # command line",
        'host = "127.0.0.1"  # default',
    } <= set(lines)
    assert main(["serve", "--new-key"]) == 0
    assert main(["serve", "--new-key"]) == 0
    keys = re.findall(r"hlk_[\w-]{43}", capsys.readouterr().out)
    assert len(set(keys)) == 2
    assert main(["serve", "--show-settings", "--port", "-1"]) == 2
    assert "port:" in capsys.readouterr().err


def test_what_follows_from_the_host() -> None:
    here, there, everywhere = Settings(), Settings(host="192.0.2.7"), Settings(host="0.0.0.0")
    assert here.photos_per_minute == 0
    assert there.photos_per_minute == everywhere.photos_per_minute == 120
    assert Settings(host="0.0.0.0", requests_per_minute=0).photos_per_minute == 0
    assert "192.0.2.7" in there.allowed_hosts
    assert "localhost" in there.allowed_hosts
    assert "*" not in (*here.allowed_hosts, *there.allowed_hosts)
    assert everywhere.allowed_hosts == Settings(host="::").allowed_hosts == ("*",)
    assert Settings(host="0.0.0.0", trusted_hosts=("a.example",)).allowed_hosts == ("a.example",)
    for name, loopback in (
        ("127.3.2.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("a", False),
    ):
        assert is_loopback(name) == loopback


def test_the_documentation_has_every_setting_as_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*?) \| (.*?) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    shown = {line.partition(" =")[0]: line for line in LoadedSettings(Settings(), {}).lines()}
    expected = []
    for name, field in Settings.model_fields.items():
        line = shown.get(name, "")
        default = f"`{line.partition(' = ')[2].removesuffix('  # default')}`" if line else "not set"
        if name == "keys":
            default = "`[]`"
        expected.append((name, variable(name), default, field.description))
    assert rows == expected
