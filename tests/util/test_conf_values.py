"""Values of conf/ in a checkout and in an installed package."""

from importlib import resources

from birdnet_nl.util.conf_values import conf_dir, conf_values


def test_a_checkout_has_conf_beside_the_package(repository):
    assert conf_dir() == repository / "conf"
    assert conf_values("data/types/three.yaml")["types"] == ["song", "call", "alarm"]


def test_an_installed_package_contains_conf(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    assert conf_dir() == tmp_path / "conf"
