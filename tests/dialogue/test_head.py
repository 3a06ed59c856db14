from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from dialogue import head
from dialogue.compilation import can_compile
from dialogue.head import OutputLayer, Teacher, summed_nats, taught_nats
from dialogue.packing import NO_TARGET

COMPILED = pytest.param(
    "compiled", marks=pytest.mark.skipif(not can_compile(), reason="no C++ compiler")
)


@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("form", ["in place", COMPILED])
def test_loss_and_gradients_are_those_of_cross_entropy(
    rows: int, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_MIN_ROWS", 64)
    monkeypatch.setattr(head, "_LOGITS_AT_ONCE", 0)
    monkeypatch.setattr(head, "_LOGITS_IN_CACHE", 350)
    torch.manual_seed(0)
    states = torch.randn(rows, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(50, 16, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 50, (rows,))
    wanted = functional.cross_entropy(states @ weight.T, targets, reduction="sum")
    found = summed_nats(states, OutputLayer(weight), targets, compile_it=form == "compiled")
    torch.testing.assert_close(found, wanted.float())
    expected = torch.autograd.grad(0.3 * wanted, (states, weight))
    actual = torch.autograd.grad(0.3 * found, (states, weight))
    # The logits are fp32, whatever they are made of.
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_frozen_head_gets_no_gradient() -> None:
    states = torch.randn(5, 8, requires_grad=True)
    weight = torch.randn(20, 8)
    summed_nats(states, OutputLayer(weight), torch.arange(5)).backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None
    assert weight.grad is None


def divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> float:
    """T² · KL of logits that are given, summed: the output layer is the identity."""
    layer = OutputLayer(torch.eye(student.shape[1]))
    said = Teacher(teacher, torch.ones(len(teacher)), temperature)
    total, nats = taught_nats(student, layer, torch.full((len(student),), NO_TARGET), said)
    assert float(nats) == 0.0
    return float(total)


def test_the_divergence_by_hand() -> None:
    """Teacher (3/4, 1/4), student (1/2, 1/2): 3/4 log 3/2 + 1/4 log 1/2."""
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(3.0), 0.0]])
    wanted = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert divergence(student, teacher, 1.0) == pytest.approx(wanted, rel=1e-5)


def test_a_temperature_of_two_by_hand() -> None:
    """log 9 over two is log 3: the case above, four times."""
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(9.0), 0.0]])
    wanted = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert divergence(student, teacher, 2.0) == pytest.approx(wanted, rel=1e-5)


def test_hot_distillation_is_half_the_mean_square_of_der() -> None:
    """Centred differences of (1, −1): a mean square of 1."""
    student, teacher = torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    assert divergence(student, teacher, 50.0) == pytest.approx(0.5, rel=1e-2)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("is_own", [True, False])
def test_what_a_teacher_adds_is_what_autograd_makes_of_the_formula(
    temperature: float, is_own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several chunks; some rows have a target and some none, the weights are as they are."""
    monkeypatch.setattr(head, "_LOGITS_AT_ONCE", 0)
    monkeypatch.setattr(head, "_MIN_ROWS", 64)
    monkeypatch.setattr(head, "_LOGITS_IN_CACHE", 350)
    torch.manual_seed(0)
    num = 150
    states = torch.randn(num, 16, requires_grad=True)
    weight = torch.randn(50, 16, requires_grad=not is_own)
    bias = torch.randn(50, requires_grad=not is_own)
    theirs, other = torch.randn(num, 16), OutputLayer(torch.randn(50, 16), torch.randn(50))
    shares = torch.rand(num) * 5
    targets = torch.randint(0, 50, (num,)).where(torch.rand(num) < 0.5, NO_TARGET)

    layer = OutputLayer(weight, bias)
    logits, taught = layer.logits(states), (layer if is_own else other).logits(theirs)
    nats = functional.cross_entropy(logits, targets, reduction="sum")
    scaled = (logits / temperature).log_softmax(-1)
    each = functional.kl_div(scaled, (taught / temperature).softmax(-1), reduction="none").sum(-1)
    wanted = nats + (shares * temperature**2 * each).sum()
    learning = [states] if is_own else [states, weight, bias]
    expected = torch.autograd.grad(0.3 * wanted, learning)

    teacher = Teacher(theirs, shares, temperature, None if is_own else other)
    found, told = taught_nats(states, layer, targets, teacher)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(told, nats)
    torch.testing.assert_close(
        torch.autograd.grad(0.3 * found, learning), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("form", ["taught", "in place", COMPILED])
def test_what_is_nearly_certain_keeps_its_gradient_in_bf16(form: str) -> None:
    """Near 1, bf16 has steps of 1/256: of 0.998 less 1 nothing right would be left."""
    targets = torch.arange(40)
    certain = functional.one_hot(targets, 50) * 9.7
    states, layer = certain.bfloat16().requires_grad_(), OutputLayer(torch.eye(50).bfloat16())
    exact = states.detach().double().requires_grad_()
    assert 0.996 < float(exact.detach().softmax(-1).amax()) < 0.998
    nats = functional.cross_entropy(exact, targets, reduction="sum")
    (wanted,) = torch.autograd.grad(nats, exact)
    if form == "taught":
        said = Teacher(torch.zeros_like(states), torch.zeros(40), 1.0)
        found, _ = taught_nats(states, layer, targets, said)
    else:
        found = summed_nats(states, layer, targets, compile_it=form == "compiled")
    (actual,) = torch.autograd.grad(found, states)
    torch.testing.assert_close(actual.double(), wanted, rtol=0.01, atol=1e-6)
