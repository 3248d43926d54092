"""The trainer: groups, refusals, resume to the same bits, logs and checkpoints."""

import json
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from zeroproofml.scm.errors import SCMTypeError, SCMValueError, TrainingError
from zeroproofml.torch import (
    GradientPolicy,
    InferenceConfig,
    JsonlLogger,
    LinearRamp,
    LossCurriculum,
    ProjectiveRationalMultiHead,
    SCMInferenceWrapper,
    SCMLoss,
    SCMTrainer,
    TrainerConfig,
    lift_targets,
)
from zeroproofml.torch._checkpoint import pack, unpack

F64 = torch.float64


class Model(nn.Module):
    def __init__(self, dropout=0.0, **options):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.head = ProjectiveRationalMultiHead(1, 2, 2, dtype=F64, generator=generator, **options)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.head(self.dropout(x), x)


class Scale(nn.Module):
    """A loss with a parameter of its own, outside the model."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros((), dtype=F64))

    def forward(self, outputs, targets):
        total, parts = SCMLoss()(outputs, targets)
        return total * self.log_scale.exp() - 0.1 * self.log_scale, parts


def _data(n=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, dtype=F64, generator=generator) * 2 - 1
    return x, 1 / (1.5 + x)


def _loader(n=20, batch=4, seed=7):
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(*_data(n)), batch, shuffle=True, generator=generator)


def _trainer(config=None, *, model=None, loss=None, lr=0.05, optimizer=torch.optim.Adam, **options):
    model = Model() if model is None else model
    loss = SCMLoss() if loss is None else loss
    groups = [{"params": list(model.parameters())}]
    if isinstance(loss, nn.Module):
        groups.append({"params": list(loss.parameters())})
    return SCMTrainer(model, optimizer(groups, lr), loss, config, **options)


def _weights(trainer):
    return [p.detach().clone() for g in trainer.optimizer.param_groups for p in g["params"]]


def _same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_training_lowers_the_loss_from_a_model_left_in_eval():
    model = Model()
    model.eval()
    trainer = _trainer(TrainerConfig(max_epochs=15), model=model)
    report = trainer.fit(_loader(), [_data(8, seed=3)])
    assert model.training
    assert (report.epochs, report.steps, report.stopped) == (15, 75, None)
    assert report.history[-1]["loss"] < 0.5 * report.history[0]["loss"]
    assert report.history[-1]["val_coverage"] == 1.0


# Acceptance 36.
@pytest.mark.parametrize("accumulation", [2, 4, 5])
def test_accumulation_divides_by_the_actual_number_of_batches(accumulation):
    """5 batches with accumulation 4: groups of 4 and 1, by hand, outside parameters too."""
    x, y = _data(20)
    batches = list(zip(x.split(4), y.split(4), strict=True))
    loss = Scale()
    trainer = _trainer(
        TrainerConfig(accumulation_steps=accumulation), loss=loss, optimizer=torch.optim.SGD
    )
    trainer.fit(batches)

    model, hand = Model(), Scale()
    optimizer = torch.optim.SGD([*model.parameters(), *hand.parameters()], 0.05)
    for start in range(0, 5, accumulation):
        group = batches[start : start + accumulation]
        optimizer.zero_grad()
        for a, b in group:
            (hand(model(a), lift_targets(b))[0] / len(group)).backward()
        optimizer.step()
    want = [*model.parameters(), *hand.parameters()]
    for got, reference in zip(_weights(trainer), want, strict=True):
        torch.testing.assert_close(got, reference.detach(), rtol=1e-14, atol=0)
    assert loss.log_scale.item() != 0.0


def test_d23_a_mask_is_not_a_q():
    x, y = _data(4)

    class Masked(Model):
        def forward(self, x):
            P, Q = super().forward(x)
            return P / Q, Q == 0

    class Decoded(Model):
        def forward(self, x):
            return SCMInferenceWrapper(self.head).eval()(x, x)

    class Nothing(Model):
        def forward(self, x):
            return (x,)

    for kind, word in ((Masked, r"\(P, Q\)"), (Decoded, "wrapper|Wrapper"), (Nothing, r"\(P, Q\)")):
        with pytest.raises(SCMTypeError, match=word):
            _trainer(model=kind()).fit([(x, y)])
    for bad in (x, (x,), (x, y, y), lift_targets(y)):
        with pytest.raises(SCMTypeError, match="batch"):
            _trainer().fit([bad])


def test_d23_nan_is_refused_with_the_weights_untouched():
    x, y = _data(4)
    poisoned = x.clone()
    poisoned[1] = math.nan

    def loss(outputs, targets):
        return (outputs[0] * 1.0).sum()

    trainer = _trainer(TrainerConfig(max_epochs=1), loss=loss)
    trainer.fit([(x, y)])
    before = _weights(trainer)
    trainer._state.epoch = 0
    with pytest.raises(TrainingError, match="loss in epoch 0, step 1"):
        trainer.fit([(poisoned, y)])
    assert _same(before, _weights(trainer))


def test_d23_bad_gradients_are_named_outside_the_model_too():
    x, y = _data(4)

    class Root(Scale):
        def forward(self, outputs, targets):
            return outputs[0].sum() + self.log_scale.abs().sqrt()  # derivative inf·0 at 0

    trainer = _trainer(loss=Root())
    before = _weights(trainer)
    with pytest.raises(TrainingError, match="parameter 0 of optimizer group 1"):
        trainer.fit([(x, y)])
    assert _same(before, _weights(trainer))

    def square_root(outputs, targets):
        return (outputs[0] - outputs[0].detach()).abs().sqrt().sum()

    with pytest.raises(TrainingError, match=r"gradient of head\.num_weights"):
        _trainer(loss=square_root, model=Model(gradient_policy=GradientPolicy.PASSTHROUGH)).fit(
            [(x, y)]
        )


def test_skip_drops_the_group_and_gives_up_after_max_skips():
    x, y = _data(4)
    bad = torch.full_like(x, math.nan)

    def loss(outputs, targets):
        return SCMLoss()(outputs, targets)[0]

    config = TrainerConfig(on_nonfinite="skip", max_skips=2, max_epochs=1)
    trainer = _trainer(config, loss=loss)
    report = trainer.fit([(x, y), (bad, y), (bad, y), (x, y)])
    assert (report.steps, report.nonfinite_skips) == (2, 2)
    assert math.isfinite(report.history[0]["loss"])
    clean = _trainer(TrainerConfig(), loss=loss)
    clean.fit([(x, y), (x, y)])
    assert _same(_weights(trainer), _weights(clean))
    with pytest.raises(TrainingError, match="more than 2"):
        _trainer(config, loss=loss).fit([(bad, y)] * 3)


def test_bottom_targets_need_a_head_that_can_reach_them():
    x = torch.zeros(2, 1, dtype=F64)
    y = torch.tensor([[1.0], [math.inf]], dtype=F64)
    anchored = Model(q_param="softplus")
    with pytest.raises(TrainingError, match="head cannot reach"):
        _trainer(model=anchored).fit([(x, y)])
    _trainer(model=anchored).fit([(x, y.nan_to_num(posinf=2.0))])
    _trainer().fit([(x, y)])


def test_d26_tau_stays_in_its_range():
    seen = []

    def loss(outputs, targets, tau):
        seen.append(tau)
        return SCMLoss()(outputs, targets, tau)

    config = TrainerConfig(max_epochs=4, tau_train=(1e-3, 2e-3), seed=5)
    _trainer(config, loss=loss).fit(_loader())
    assert len(set(seen)) == 20
    assert all(1e-3 <= tau <= 2e-3 for tau in seen)
    again, seen[:] = list(seen), []
    _trainer(config, loss=loss).fit(_loader())
    assert seen == again
    seen.clear()
    _trainer(config, loss=loss).evaluate(_loader())
    assert set(seen) == {1.5e-3}


def test_the_loss_gets_what_its_signature_accepts():
    seen = {}

    def loss(outputs, targets, inputs, epoch, step, weights=None):
        seen.update(inputs=inputs, epoch=epoch, step=step, weights=weights)
        return SCMLoss()(outputs, targets, weights=weights)

    ramp = LossCurriculum({"margin": LinearRamp(0.0, 1.0, 0, 2)})
    x, y = _data(4)
    _trainer(TrainerConfig(max_epochs=2), loss=loss, curriculum=ramp).fit([(x, y)])
    assert torch.equal(seen["inputs"], x)
    assert (seen["epoch"], seen["step"], seen["weights"]) == (1, 1, {"margin": 0.5})
    with pytest.raises(SCMTypeError, match="weights"):
        _trainer(loss=lambda outputs, targets: 0, curriculum=ramp)
    for bad in ((0.0, -1.0), (math.nan, 1.0)):
        with pytest.raises(SCMValueError):
            LinearRamp(*bad)
    with pytest.raises(SCMValueError):
        LinearRamp(0.0, 1.0, 3, 3)


def test_policy_of_the_config_is_read_in_forward():
    x, y = _data(4)
    trainer = _trainer(TrainerConfig(policy=GradientPolicy.REJECT), optimizer=torch.optim.SGD)
    before = _weights(trainer)
    trainer.fit([(x, y)])
    assert _same(before, _weights(trainer))


def test_early_stop_on_low_coverage():
    x, y = _data(4)
    config = TrainerConfig(max_epochs=9, coverage_floor=0.9, coverage_patience=2, tau_infer=1e6)
    report = _trainer(config).fit([(x, y)], [(x, y)])
    assert report.epochs == 2
    assert "coverage below 0.9" in report.stopped


def test_evaluate_is_lane_weighted_and_keeps_the_mode():
    x, y = _data(6)
    trainer = _trainer()
    trainer.model.train()
    whole = trainer.evaluate([(x, y)])
    parts = trainer.evaluate([(x[:1], y[:1]), (x[1:], y[1:])])
    assert trainer.model.training
    for name in ("fit", "denom_abs_mean", "denom_abs_min", "coverage"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-12)
    with torch.no_grad():
        _, Q = trainer.model.eval()(x)
    assert whole["denom_abs_min"] == Q.abs().min().item()


def test_factors_and_wrapper_in_evaluation():
    class Three(Model):
        def forward(self, x):
            P, Q = super().forward(x)
            return P, Q, x

    x, y = _data(6)
    wrapper = SCMInferenceWrapper(Three(), InferenceConfig(), factor_thresholds=[0.0])

    def loss(outputs, targets):
        return SCMLoss()(outputs[:2], targets)

    trainer = _trainer(model=wrapper, loss=loss)
    x[0] = 0.0
    assert trainer.evaluate([(x, y)])["bottom_frac"] == pytest.approx(1 / 6)
    assert trainer.fit([(x, y)]).steps == 1


@pytest.mark.parametrize("cadence", ["update", "batch", "epoch", "validation"])
def test_scheduler_cadence(cadence):
    trainer = _trainer(TrainerConfig(max_epochs=2, accumulation_steps=2, scheduler_cadence=cadence))
    trainer.scheduler = torch.optim.lr_scheduler.StepLR(trainer.optimizer, 1, gamma=0.5)
    trainer.fit(_loader(), [_data(4)])
    times = {"update": 6, "batch": 10, "epoch": 2, "validation": 2}[cadence]
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * 0.5**times)
    if cadence == "validation":
        with pytest.raises(SCMValueError, match="val_loader"):
            trainer.fit(_loader())


class _Stop(Exception):
    pass


def _run(path, stop_after, *, epochs=3, **options):
    """Train; with ``stop_after`` crash in that batch, save, and go on in a fresh trainer."""

    def build(seen):
        def loss(outputs, targets, tau):
            seen.append(tau)
            if len(seen) == stop_after and not path.exists():
                raise _Stop
            random.random()  # a user's code draws from every global state
            noise = torch.rand(()).item() + np.random.random()  # noqa: NPY002 - the global state
            return SCMLoss()(outputs, targets, tau)[0] * (1.0 + 0.01 * noise)

        model = Model(dropout=0.3)
        optimizer = torch.optim.AdamW(model.parameters(), 0.05)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
        config = TrainerConfig(max_epochs=epochs, tau_train=(1e-4, 1e-2), seed=3, **options)
        return SCMTrainer(model, optimizer, loss, config, scheduler=scheduler)

    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002 - the global state
    random.seed(11)
    loader = _loader()
    trainer = build([])
    try:
        trainer.fit(loader, [_data(4)])
    except _Stop:
        trainer.save(path)
        torch.manual_seed(99)
        loader = _loader(seed=99)
        trainer = build([])
        trainer.load(path)
        trainer.fit(loader, [_data(4)])
    return trainer


@pytest.mark.parametrize("stop_after", [1, 3, 6, 8, 15])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_resume_is_bit_equal(tmp_path, stop_after, accumulation):
    want = _run(tmp_path, None, accumulation_steps=accumulation)
    path = tmp_path / "checkpoint"
    got = _run(path, stop_after, accumulation_steps=accumulation)
    assert path.is_dir()
    assert _same(_weights(want), _weights(got))
    assert got._state.step == want._state.step
    assert want.scheduler.state_dict() == got.scheduler.state_dict()


def test_resume_between_epochs_from_a_finished_fit(tmp_path):
    want = _run(tmp_path, None, epochs=3)
    short = _run(tmp_path, None, epochs=2)
    short.save(tmp_path / "two")
    longer = _run(tmp_path, None, epochs=3)  # any trainer of the same config
    with pytest.raises(SCMValueError, match="strict=False"):
        longer.load(tmp_path / "two")
    longer.load(tmp_path / "two", strict=False)
    longer.fit(_loader(seed=5), [_data(4)])
    assert _same(_weights(want), _weights(longer))


def test_checkpoint_files_hold_no_pickle(tmp_path):
    trainer = _trainer(loss=Scale())
    trainer.fit(_loader())
    path = tmp_path / "run"
    trainer.save(path)
    trainer.save(path)  # over an older one
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run"]
    files = sorted(file.name for file in path.iterdir())
    assert files == ["model.safetensors", "optimizer.safetensors", "state.json"]
    for file in path.iterdir():
        assert b"\x80\x04" not in file.read_bytes()[:64]
        assert b"PK\x03\x04" not in file.read_bytes()
    state = json.loads((path / "state.json").read_text())
    assert (state["schema_name"], state["schema_version"]) == ("zeroproofml.checkpoint", 1)
    assert state["progress"]["step"] == 5
    fresh = _trainer(loss=Scale(), lr=0.9)
    fresh.load(path)
    assert _same(_weights(trainer), _weights(fresh))
    assert fresh.optimizer.param_groups[0]["lr"] == 0.05
    assert fresh.optimizer.param_groups[0]["betas"] == (0.9, 0.999)


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    trainer = _trainer()
    with pytest.raises(SCMValueError, match="not a checkpoint"):
        trainer.load(tmp_path)
    (tmp_path / "notes").mkdir()
    with pytest.raises(SCMValueError, match="not a checkpoint"):
        trainer.save(tmp_path / "notes")
    path = tmp_path / "run"
    trainer.save(path)
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "schema_version": 2}))
    with pytest.raises(SCMValueError, match="schema"):
        trainer.load(path)
    (path / "state.json").write_text("{")
    with pytest.raises(SCMValueError, match="JSON"):
        trainer.load(path)


def test_packed_values_round_trip():
    from collections import Counter

    value = {
        "a": (1, 2.5, None),
        "b": {3: [math.inf, True]},
        "c": Counter({2: 1, 5: 2}),
        "$d": "x",
    }
    text = json.dumps(pack(value), allow_nan=False)
    back = unpack(json.loads(text))
    assert back == value
    assert isinstance(back["c"], Counter)
    assert math.isnan(unpack(pack(math.nan)))
    with pytest.raises(SCMTypeError, match=r"state\.f"):
        pack({"f": len})


def test_log_is_strict_json_that_the_report_reads(tmp_path):
    pytest.importorskip("pydantic")
    from zeroproofml.report.contract import MetricRecord

    path = tmp_path / "log.jsonl"
    with JsonlLogger(path, context={"arm": "scm", "seed": 2}) as logger:
        _trainer(TrainerConfig(max_epochs=2), logger=logger).fit(_loader(), [_data(4)])
        logger.write("train", {"loss": math.nan, "peak": math.inf}, step=3)
    lines = path.read_text().splitlines()
    assert len(lines) == 5
    records = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    for record in records:
        MetricRecord.model_validate(record)
        assert line_is_canonical(record, lines[records.index(record)])
    assert records[-1]["metrics"] == {"loss": None, "peak": None}
    assert records[-1]["reasons"] == {"loss": "nan", "peak": "infinite"}
    assert {"loss", "fit", "coverage", "tau_train", "bottom_frac", "nonfinite_skips"} <= set(
        records[0]["metrics"]
    )
    assert all(name.startswith("val_") for name in records[1]["metrics"])
    with pytest.raises(SCMValueError, match="field"):
        JsonlLogger(path, context={"author": "x"})
    with JsonlLogger(path) as logger:
        for phase, metrics, where in (
            ("test", {}, {"step": 1}),
            ("train", {}, {}),
        ):
            with pytest.raises(SCMValueError):
                logger.write(phase, metrics, **where)
        for value in (True, "1", torch.ones(())):
            with pytest.raises(SCMTypeError, match="metric 'a'"):
                logger.write("train", {"a": value}, step=1)


def line_is_canonical(record, line):
    return line == json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_progress_is_told():
    told = []

    class Watch:
        def start(self, label, total=None):
            told.append((label, total))

        def advance(self, n=1, **info):
            told.append((n, sorted(info)))

        def finish(self):
            told.append("finish")

    _trainer(TrainerConfig(accumulation_steps=4), progress=Watch()).fit(_loader())
    assert told == [("epoch 0", 5), (4, ["epoch", "loss"]), (1, ["epoch", "loss"]), "finish"]


def test_config_is_checked_and_frozen():
    for bad in (
        {"max_epochs": 0},
        {"accumulation_steps": 0},
        {"amp": "half"},
        {"tau_train": (1e-3, 1e-4)},
        {"tau_train": (-1.0, 1.0)},
        {"tau_infer": 0.0},
        {"coverage_floor": 1.5},
        {"on_nonfinite": "ignore"},
        {"scheduler_cadence": "step"},
    ):
        with pytest.raises(SCMValueError):
            TrainerConfig(**bad)
    for bad in ({"max_epochs": True}, {"policy": "clamp"}, {"seed": 1.0}):
        with pytest.raises(SCMTypeError):
            TrainerConfig(**bad)
    with pytest.raises(AttributeError):
        TrainerConfig().seed = 1
    assert TrainerConfig().sha256() != TrainerConfig(seed=1).sha256()


def test_bfloat16_autocast_trains():
    x, y = _data(8)
    model = Model().float()
    trainer = _trainer(TrainerConfig(amp="bfloat16", max_epochs=3), model=model)
    report = trainer.fit([(x.float(), y.float())])
    assert math.isfinite(report.history[-1]["loss"])
