"""``colorkit train CONFIG.toml``: what it builds, trains, and says about a wrong file."""

import pytest
from click.testing import CliRunner

from colorkit.cli import colorkit
from colorkit.training import checkpoint
from colorkit.training.config import ConfigError, build, options_of, read
from colorkit.training.history import History
from tests.training_demo import Net

CONFIG = """
folder = '{folder}'
[model]
factory = "tests.training_demo:Net"
width = 5
[loss]
factory = "colorkit.training.objectives:Regression"
criterion = {{ function = "torch.nn.functional:huber_loss", delta = 20.0 }}
[data]
factory = "tests.training_demo:tensor_batches"
batch = 6
[validation]
factory = "tests.training_demo:tensor_batches"
batch = 8
[training]
epochs = 3
lr = 2e-3
seed = 4
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(folder=(tmp_path / "run").as_posix()), encoding="utf-8")
    return path


def train(*arguments):
    return CliRunner().invoke(colorkit, ["train", *map(str, arguments), "--device", "cpu"])


def test_the_command_trains_writes_and_resumes(config, tmp_path):
    done = train(config)
    assert done.exit_code == 0, done.output
    assert "step 12 of 12, finished" in done.output
    folder = tmp_path / "run"
    assert sorted(p.name for p in folder.iterdir()) == ["best.pt", "history.csv", "last.pt"]
    assert History.read_csv(folder / "history.csv").rows[-1]["step"] == 12
    state = checkpoint.load_weights(folder / "last.pt", Net(width=5))
    assert state["config"]["model"] == {"factory": "tests.training_demo:Net", "width": 5}
    assert (state["options"]["lr"], state["options"]["seed"]) == (2e-3, 4)
    assert "holds a run already" in str(train(config).exception)
    assert train(config, "--resume").exit_code == 0
    assert train(config, "--folder", tmp_path / "other").exit_code == 0
    other = checkpoint.load(tmp_path / "other" / "last.pt")
    assert all((other["model"][k] == v).all() for k, v in state["model"].items())


def test_a_configuration_that_was_changed_is_not_resumed(config):
    train(config)
    config.write_text(config.read_text(encoding="utf-8").replace("delta = 20.0", "delta = 2.0"))
    error = train(config, "--resume").exception
    assert isinstance(error, checkpoint.CheckpointError)
    assert "other configuration: loss was" in str(error)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[validation]", "[valid]", "no section 'valid'"),
        ("[data]", "[metric]", "'data' is missing"),
        ("epochs = 3", "epochs = ", "config.toml: "),
        ("demo:Net", "demo:Nett", r"\[model\] cannot find tests.training_demo:Nett"),
        ("demo:Net", "demo.Net", "not of the form package.module:name"),
        ("width = 5", "widht = 5", r"\[model\] tests.training_demo:Net: .*widht"),
        ("lr = 2e-3", "rate = 2e-3", r"\[training\] has no setting 'rate'"),
        ("lr = 2e-3", "steps = 5", "epochs or steps, not both"),
        ("lr = 2e-3", "lr = -1.0", "lr and clip are above 0"),
    ],
)
def test_a_wrong_configuration_is_explained(config, old, new, message):
    text = config.read_text(encoding="utf-8").replace(old, new, 1)
    config.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        _build_all(config)


def _build_all(path):
    given = read(path)
    build(given["model"], "model")
    options_of(given, range(4))


def test_a_section_is_a_factory_or_a_function():
    with pytest.raises(ConfigError, match=r"\[loss\] needs either a factory or a function"):
        build({"width": 3}, "loss")
