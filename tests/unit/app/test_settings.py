"""One typed configuration: file, environment and options, with errors that name what was wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.app.settings import Settings, load_settings, setting_names
from hilum.kernel.errors import InvalidInput


def test_defaults_bind_to_loopback_and_ask_for_authentication() -> None:
    settings = load_settings(environment={})
    assert settings.http.host == "127.0.0.1"
    assert settings.dicom_host == "127.0.0.1"
    assert settings.auth.enabled


def test_environment_wins_over_the_file_and_options_win_over_both(tmp_path: Path) -> None:
    file = tmp_path / "hilum.toml"
    file.write_text('workers = 2\n[http]\nport = 1000\nhost = "127.0.0.2"\n[dicom]\nae_title = "FILE"\n')
    environment = {"HILUM_HTTP_PORT": "2000", "HILUM_DICOM_AE_TITLE": "ENV", "PATH": "/bin"}
    settings = load_settings(file, environment, {"http.port": 3000, "workers": None})
    assert (settings.http.port, settings.dicom.ae_title, settings.http.host, settings.workers) == (
        3000, "ENV", "127.0.0.2", 2,
    )  # fmt: skip


def test_unknown_key_of_the_file_is_an_error_that_names_the_nearest_known_one(tmp_path: Path) -> None:
    file = tmp_path / "hilum.toml"
    file.write_text("[http]\nprot = 1\n")
    with pytest.raises(InvalidInput, match=r"'http\.prot'.*'http\.port'"):
        load_settings(file, {})


def test_unknown_environment_variable_is_an_error_that_names_the_nearest_known_one() -> None:
    with pytest.raises(InvalidInput, match=r"HILUM_DICOM_AETITLE.*HILUM_DICOM_AE_TITLE"):
        load_settings(environment={"HILUM_DICOM_AETITLE": "X"})


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HILUM_HTTP_PORT": "70000"}, "http.port"),
        ({"HILUM_HTTP_PORT": "many"}, "HILUM_HTTP_PORT"),
        ({"HILUM_AUTH_ENABLED": "perhaps"}, "HILUM_AUTH_ENABLED"),
        ({"HILUM_DICOM_AE_TITLE": "SEVENTEEN_LETTERS"}, "dicom.ae_title"),
        ({"HILUM_DICOM_AE_TITLE": " "}, "dicom.ae_title"),
        ({"HILUM_INGEST_DUPLICATES": "merge"}, "ingest.duplicates"),
        ({"HILUM_DICOM_ALLOWED_CALLERS": "CT1@300.1.1.1"}, "300.1.1.1"),
        ({"HILUM_HTTP_TRUSTED_PROXIES": "somewhere"}, "somewhere"),
    ],
)
def test_bad_value_is_an_error_that_names_the_setting(environment: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(environment=environment)
    assert words in caught.value.message


def test_missing_and_malformed_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no-such\.toml"):
        load_settings(tmp_path / "no-such.toml", {})
    broken = tmp_path / "broken.toml"
    broken.write_text("[http\n")
    with pytest.raises(InvalidInput, match=r"broken\.toml is not valid TOML"):
        load_settings(broken, {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "pacs.example"])
def test_listening_without_authentication_is_refused_beyond_loopback(host: str) -> None:
    with pytest.raises(InvalidInput, match="refusing to listen"):
        load_settings(environment={"HILUM_AUTH_ENABLED": "no", "HILUM_HTTP_HOST": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_listening_without_authentication_is_allowed_on_loopback(host: str) -> None:
    assert not load_settings(environment={"HILUM_AUTH_ENABLED": "no", "HILUM_HTTP_HOST": host}).auth.enabled


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    settings = load_settings(environment={"HILUM_DICOM_ALLOWED_CALLERS": "CT1, MR1@10.0.0.0/8"})
    assert settings.dicom.allowed_callers == ["CT1", "MR1@10.0.0.0/8"]


def test_every_setting_has_a_description() -> None:
    from hilum.app.settings_reference import describe

    for name, _, info in setting_names(Settings):
        assert describe(info), name


def test_settings_reference_of_the_guide_is_fresh() -> None:
    from hilum.app.settings_reference import settings_reference

    page = Path(__file__).parents[3] / "docs" / "guide" / "settings.md"
    assert page.read_text(encoding="utf-8") == settings_reference(), "run: python -m hilum.app.settings_reference"
