import numpy as np
import pytest
import torch
from neckfrac_lab.training.plane_patches import plane_patch_batches, plane_patch_loss
from training_case import saved_twins


def vertebra(broken: bool) -> dict[str, np.ndarray]:
    """A block of bone, C4, through which a flat break of one slice runs."""
    hu = np.full((52, 136, 136), 40, np.int16)
    labels, fracture = np.zeros(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8)
    hu[14:38, 40:96, 40:96], labels[14:38, 40:96, 40:96] = 500, 4
    if broken:
        fracture[26, 44:92, 44:92] = 4
    return {"hu": hu, "labels": labels, "fracture": fracture, "level": np.int64(4)}


@pytest.fixture
def matched_pairs(tmp_path):
    return saved_twins(tmp_path, vertebra)


@pytest.mark.parametrize("seed", range(4))
def test_a_flat_break_is_shown_from_all_sides_and_its_whole_twin_at_the_same_place(matched_pairs, seed):
    batch = next(plane_patch_batches(matched_pairs, np.random.default_rng(seed), size=2))
    assert batch["axial"].shape == (12, 1, 3, 64, 64) and batch["upright"].shape == (12, 2, 3, 64, 64)
    truth = torch.cat([batch["axial_heat"], batch["upright_heat"]], dim=1).sum(dim=(2, 3))
    assert (truth[:6] == 0).all(), "the intact partner first"
    assert (truth[6:] >= 12).all(), "every view passes through the break"
    assert (truth[6:, 0] > 3 * truth[6:, 1]).all() and (truth[6:, 0] > 3 * truth[6:, 2]).all(), "flat from the side"
    for name in ("axial", "upright"):
        assert torch.equal(batch[name][:6], batch[name][6:]), "these pairs differ in truth only"


def test_where_the_break_lies_in_a_piece_tells_nothing(matched_pairs):
    source = plane_patch_batches(matched_pairs, np.random.default_rng(0), size=2)
    rows = [torch.nonzero(heat)[:, 0].float().mean() for _ in range(6) for heat in next(source)["upright_heat"][6:, 0]]
    assert np.std(rows) > 4 and abs(np.mean(rows) - 32) < 8


def test_pieces_at_the_end_of_a_scan_show_its_last_slice_again(tmp_path):
    sample = vertebra(broken=False)
    sample["fracture"][1, 60:70, 60:70] = 4
    np.savez(tmp_path / "00000004.npz", **sample)
    batch = next(plane_patch_batches([tmp_path / "00000004.npz"], np.random.default_rng(0), size=2))
    assert batch["axial"].isfinite().all() and (batch["axial_heat"].sum(dim=(1, 2, 3)) > 0).all()


def test_pieces_of_a_vertebra_without_twin_or_break_lie_on_it_and_of_unknown_breaks_there_are_none(tmp_path):
    np.savez(tmp_path / "00000006.npz", **vertebra(broken=False))
    np.savez(tmp_path / "00000008.npz", **vertebra(broken=False), fractured=True, located=False)
    paths = [tmp_path / f"{n:08d}.npz" for n in (6, 8)]
    batch = next(plane_patch_batches(paths, np.random.default_rng(0), size=4))
    assert len(batch["axial"]) == 6 and (batch["axial"][:, 0, 2].flatten(1).sum(dim=1) > 0).all()


def test_a_right_answer_loses_less_than_a_wrong_one_and_each_part_of_it_counts(matched_pairs):
    batch = next(plane_patch_batches(matched_pairs, np.random.default_rng(0), size=2))

    class Answer(torch.nn.Module):
        def __init__(self, wrong=()):
            super().__init__()
            self.sign = {name: -8.0 if name in wrong else 8.0 for name in ("logit", "view_logits", "where")}

        def forward(self, axial, upright):
            truths = {"heat": batch["axial_heat"], "upright_heat": batch["upright_heat"]}
            views = torch.cat([truth.amax(dim=(2, 3)) for truth in truths.values()], dim=1)
            heats = {name: (2 * truth - 1) * self.sign["where"] for name, truth in truths.items()}
            told = {"logit": views.amax(dim=1), "view_logits": views}
            return {**heats, **{name: (2 * truth - 1) * self.sign[name] for name, truth in told.items()}}

    right = plane_patch_loss(Answer(), batch)
    assert right < 0.01
    assert all(plane_patch_loss(Answer([part]), batch) > 1 for part in ("logit", "view_logits", "where"))
