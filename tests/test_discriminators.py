"""Discriminators: what they see, which patches they judge, what they refuse."""

import pytest
import torch

from colorkit.models import ImageDiscriminator, PatchDiscriminator


@pytest.mark.parametrize("field", [16, 34, 70])
def test_a_logit_depends_on_just_its_field(field):
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(2, field)
    L, ab = torch.rand(1, 1, 160, 160) * 100, torch.randn(1, 2, 160, 160).requires_grad_()
    logits = discriminator(L, ab)
    middle = logits.shape[2] // 2
    logits[0, 0, middle, middle].backward()
    rows, columns = ab.grad.abs().sum((0, 1)).nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == field


def test_patches_are_laid_out_as_in_pix2pix():
    layers = [x for x in PatchDiscriminator().layers if isinstance(x, torch.nn.Conv2d)]
    published = [(64, 4, 2), (128, 4, 2), (256, 4, 2), (512, 4, 1), (1, 4, 1)]
    assert [(x.out_channels, x.kernel_size[0], x.stride[0]) for x in layers] == published
    logits = PatchDiscriminator(1)(torch.zeros(1, 1, 256, 256), torch.zeros(1, 2, 256, 256))
    assert logits.shape[2] == 30


@pytest.mark.parametrize("size", [(1, 1), (17, 40), (64, 64)])
def test_a_discriminator_of_the_whole_gives_one_number_that_any_pixel_can_change(size):
    torch.manual_seed(0)
    ab = torch.randn(2, 2, *size).requires_grad_()
    logits = ImageDiscriminator(8)(torch.full((2, 1, *size), 50.0), ab)
    assert logits.shape == (2, 1, 1, 1)
    logits[1].sum().backward()
    assert (ab.grad[1].abs().sum(0) > 0).all()
    assert (ab.grad[0] == 0).all()


@pytest.mark.parametrize("kind", [ImageDiscriminator, PatchDiscriminator])
def test_a_discriminator_sees_what_it_is_told_to(kind):
    L, ab = torch.rand(1, 1, 32, 32) * 100, torch.randn(1, 2, 32, 32) * 20
    for sees, differs in (("ab", False), ("Lab", True)):
        discriminator = kind(4, sees=sees)
        assert torch.equal(discriminator(L, ab), discriminator(100 - L, ab)) is not differs
        assert not torch.equal(discriminator(L, ab), discriminator(L, -ab))


def test_what_a_discriminator_cannot_judge_is_refused():
    L, ab = torch.zeros(1, 1, 16, 16), torch.zeros(1, 2, 16, 16)
    with pytest.raises(ValueError, match="one of ab, Lab, not 'L'"):
        ImageDiscriminator(sees="L")
    with pytest.raises(ValueError, match="one of 16, 34, 70, not 32"):
        PatchDiscriminator(field=32)
    with pytest.raises(ValueError, match=r"at least 24 x 24 pixels, got 16 x 16"):
        PatchDiscriminator(2)(L, ab)
    with pytest.raises(ValueError, match=r"ab \(1, 2, 16, 8\) does not belong"):
        ImageDiscriminator(2)(L, ab[..., :8])
