import pytest

from birdnet_nl.util.errors import SetupError, require_extra


def test_an_installed_module_is_accepted_without_importing_it():
    require_extra("json", "train")


def test_a_missing_module_is_one_sentence_with_the_install_command():
    with pytest.raises(SetupError, match=r'needs no_such_module, .*: pip install "birdnet-nl\[train\]"'):
        require_extra("no_such_module", "train")
