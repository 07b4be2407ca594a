"""Metrics of latents (areas, sparse probes, token entropy, loss recovered) against scikit-learn, scipy and sums."""

import pickle

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

import controls as ct
from controls.core.errors import InputError, InputTypeError, NameNotFound, TrainerError
from controls.core.rng import stream

M = ct.metrics


def encoded(problem, V):
    return np.maximum(problem.X @ V.T, 0)


@pytest.fixture(scope="module")
def world():
    rng = stream(0, "latents")
    X = rng.integers(-2, 3, size=(90, 5)).astype(float)  # many ties
    labels = (X[:, 0] + rng.normal(size=90) > 0.3).astype(int)
    groups = {"document": np.arange(90) % 18, "token": rng.integers(0, 7, size=90)}
    V = rng.integers(-1, 2, size=(8, 5)).astype(float)
    V[2] = 0  # never fires
    return V, ct.Problem(X, labels, groups=groups, unit="document")


@pytest.mark.parametrize("kept", [1 << 24, 40])
def test_areas_are_those_of_scikit_learn(world, kept, monkeypatch):
    monkeypatch.setattr("controls.metrics.auroc._KEPT", kept)
    V, problem = world
    expected = [roc_auc_score(problem.labels, z) for z in encoded(problem, V).T]
    assert np.allclose(M.BestLatentAUROC().per_latent(V, problem), expected, rtol=1e-12)
    assert M.BestLatentAUROC()(V, problem) == pytest.approx(max(expected))
    both_ways = max(max(expected), 1 - min(expected))
    assert M.BestLatentAUROC(absolute=True)(-V, problem) >= M.BestLatentAUROC()(-V, problem)
    assert M.BestLatentAUROC(absolute=True)(V, problem) == pytest.approx(both_ways)


def test_negative_latents_have_their_place_below_zero():
    class Found:
        decoder = np.eye(3)

        def encode(self, activations):
            return activations

        def decode(self, latents):
            return latents

    rng = stream(1, "signed")
    problem = ct.Problem(rng.normal(size=(40, 3)).round(1), rng.integers(0, 2, size=40))
    expected = [roc_auc_score(problem.labels, x) for x in problem.X.T]
    assert np.allclose(M.BestLatentAUROC().per_latent(Found(), problem), expected, rtol=1e-12)


def test_without_a_unit_the_best_latent_has_the_area_of_the_others(world):
    V, problem = world
    best = int(M.BestLatentAUROC().per_latent(V, problem).argmax())
    score, units = M.BestLatentAUROC()(V, problem), problem.unit_codes
    z = encoded(problem, V)[:, best]
    brute = [roc_auc_score(problem.labels[units != g], z[units != g]) for g in range(18)]
    assert np.allclose(score.without_units(units), brute, rtol=1e-12)
    assert np.allclose((-score).without_units(units), -np.array(brute), rtol=1e-12)
    assert pickle.loads(pickle.dumps(score)) == score


@pytest.mark.parametrize("k", [1, 3])
def test_sparse_probes_are_those_of_scikit_learn_on_the_other_units(world, k):
    V, problem = world
    Z, y, units = encoded(problem, V), problem.labels, problem.unit_codes
    parts = (stream(0, "SparseProbing", 18).permutation(18) % 4)[units]
    scores, areas = np.zeros(90), []
    for part in range(4):
        train, test = parts != part, parts == part
        gaps = np.abs(Z[train & (y == 1)].mean(axis=0) - Z[train & (y == 0)].mean(axis=0))
        best = np.argsort(-gaps, kind="stable")[:k]
        scaler = StandardScaler().fit(Z[train][:, best])
        probe = LogisticRegression(max_iter=10_000, tol=1e-10).fit(scaler.transform(Z[train][:, best]), y[train])
        scores[test] = probe.decision_function(scaler.transform(Z[test][:, best]))
        areas.append(roc_auc_score(y[test], scores[test]))
    found = M.SparseProbing(k=k)(V, problem)
    assert found == pytest.approx(np.mean(areas), rel=1e-9)
    left = []
    for unit in range(18):
        kept = [(parts == part) & (units != unit) for part in range(4)]
        left.append(np.mean([roc_auc_score(y[rows], scores[rows]) for rows in kept]))
    assert np.allclose(found.without_units(units), left, rtol=1e-9)


def test_latents_are_chosen_without_the_rows_that_are_scored():
    """The one latent that tells rows apart in one part only is not chosen for that part."""
    rng = stream(2, "leak")
    areas = []
    for _ in range(40):
        problem = ct.Problem(rng.gamma(1.0, size=(40, 200)), rng.permutation(np.repeat([0, 1], 20)))
        areas.append(float(M.SparseProbing(k=2)(np.eye(200), problem)))
    assert abs(np.mean(areas) - 0.5) < 4 * np.std(areas) / np.sqrt(40)


@pytest.mark.parametrize("labels", [None, np.arange(90) % 3, np.zeros(90, int), np.linspace(0, 1, 90)])
def test_labels_must_be_two_classes(world, labels):
    V, problem = world
    other = ct.Problem(problem.X, labels)
    for metric in (M.BestLatentAUROC(), M.SparseProbing()):
        with pytest.raises(InputError, match="labels must be"):
            metric(V, other)


def test_more_latents_than_there_are_are_refused(world):
    with pytest.raises(InputError, match="at most the dictionary's 8 latents, got 9"):
        M.SparseProbing(k=9)(*world)


def test_one_class_per_unit_in_every_part_is_refused():
    problem = ct.Problem(np.eye(4), [0, 0, 1, 1], groups={"d": [0, 0, 1, 1]}, unit="d")
    with pytest.raises(InputError, match="both classes"):
        M.SparseProbing()(np.eye(4), problem)


def measured(world, metric):
    V, problem = world

    class Held(ct.Trainer):
        def fit(self, problem, rng):
            return V

    return ct.measure(Held(), problem, controls=[ct.ShuffleLabels()], scoring=metric, cv=2, draws=39, key="held")


@pytest.mark.parametrize("metric", [M.BestLatentAUROC(), M.SparseProbing(k=2)])
def test_best_of_many_stands_beside_best_of_many(world, metric):
    comparison = measured(world, metric).comparisons[0]
    if isinstance(metric, M.BestLatentAUROC):
        assert comparison.control_mean > 0.53  # the best of eight, of labels that mean nothing
    assert comparison.selectivity.low < comparison.selectivity.value < comparison.selectivity.high
    assert comparison.p_value <= 0.1


# -- token entropy --------------------------------------------------------------------------------


def entropies(problem, V, tokens):
    mass = np.stack([encoded(problem, V)[tokens == token].sum(axis=0) for token in np.unique(tokens)])
    return np.array([entropy(column / column.sum()) if column.sum() else np.nan for column in mass.T])


@pytest.mark.parametrize("block", [1 << 22, 24])
def test_token_entropy_is_that_of_the_table(world, block, monkeypatch):
    monkeypatch.setattr("controls.core.dictionary._LATENTS_AT_ONCE", block)
    V, problem = world
    expected = entropies(problem, V, problem.groups["token"])
    found = M.TokenEntropy().per_latent(V, problem)
    assert np.allclose(found, expected, equal_nan=True, atol=1e-12)
    assert np.isnan(found[2])
    assert M.TokenEntropy()(V, problem) == pytest.approx(np.nanmean(expected))


def test_corrections_are_what_they_say(world):
    V, problem = world
    Z, tokens = encoded(problem, V), problem.groups["token"]
    fired = np.array([len(np.unique(tokens[z > 0])) for z in Z.T])
    with np.errstate(invalid="ignore"):
        expected = entropies(problem, V, tokens) + (fired - 1) / (2 * Z.sum(axis=0) ** 2 / np.square(Z).sum(axis=0))
    assert np.allclose(M.TokenEntropy(correction="miller_madow").per_latent(V, problem), expected, equal_nan=True)
    codes = np.unique(tokens, return_inverse=True)[1]
    drawn = [entropies(problem, V, stream(0, "TokenEntropy", draw).permutation(codes)) for draw in range(3)]
    found = M.TokenEntropy(correction="shuffle", draws=3).per_latent(V, problem)
    assert np.allclose(found, entropies(problem, V, tokens) - np.mean(drawn, axis=0), equal_nan=True, atol=1e-12)


def test_rare_latents_look_specific_but_not_beside_a_shuffle():
    """Latents that fire at random have the entropy of the text: the plug-in value falls with their rate."""
    rng = stream(3, "rare")
    tokens = rng.integers(0, 50, size=4000)
    Z = (rng.random((4000, 40)) < np.where(np.arange(40) < 20, 0.005, 0.2)) * rng.gamma(2.0, size=(4000, 40))
    problem = ct.Problem(Z, groups={"token": tokens})

    def mean(correction, which):
        return M.TokenEntropy(correction=correction).per_latent(np.eye(40), problem)[which].mean()

    rare, common = slice(0, 20), slice(20, 40)
    assert mean("none", common) == pytest.approx(np.log(50), abs=0.1)
    assert mean("none", rare) < np.log(50) - 0.8
    assert mean("none", rare) < mean("miller_madow", rare) < np.log(50) - 0.2
    assert abs(mean("shuffle", rare)) < 0.1
    assert abs(mean("shuffle", common)) < 0.02


def test_entropy_refuses_what_it_cannot_read(world):
    V, problem = world
    with pytest.raises(NameNotFound, match="group 'word'"):
        M.TokenEntropy(group="word")(V, problem)
    with pytest.raises(TrainerError, match="at least 91 of 90 rows"):
        M.TokenEntropy(least_rows=91)(V, problem)
    with pytest.raises(InputError, match="correction"):
        M.TokenEntropy(correction="yes")


# -- what a model loses ----------------------------------------------------------------------------


def model_of(problem):
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(problem.d, 4)).double()


def predictions(activations, problem):
    import torch

    model = model_of(problem)
    X = torch.tensor(np.array(problem.X))
    if activations is None:
        return model(X).detach().numpy()
    with ct.splice(model, "0", lambda x: activations):
        return model(X).detach().numpy()


def row_loss(activations, problem):
    wanted = predictions(None, problem).argmax(axis=1)  # what the model says itself, so that ablations cost something
    return -log_softmax(predictions(activations, problem), axis=1)[np.arange(problem.n), wanted]


def one_loss(activations, problem):
    return row_loss(activations, problem).mean()


def in_blocks(activations, problem):
    whole = predictions(activations, problem)
    yield whole[:50]
    yield whole[50:]


@pytest.mark.parametrize("ablation", ["mean", "zero"])
def test_loss_recovered_is_the_ratio_of_losses(world, ablation):
    V, problem = world
    spliced = encoded(problem, V) @ V
    nothing = np.tile(problem.X.mean(axis=0), (90, 1)) * (ablation == "mean")
    original, cut, ablated = (row_loss(a, problem) for a in (None, spliced, nothing))
    expected = (ablated.mean() - cut.mean()) / (ablated.mean() - original.mean())
    by_rows = M.LossRecovered(row_loss, ablation)(V, problem)
    assert by_rows == pytest.approx(expected, rel=1e-9)
    assert M.LossRecovered(one_loss, ablation)(V, problem) == pytest.approx(expected, rel=1e-9)
    keep = problem.unit_codes != 3
    without = (ablated[keep].mean() - cut[keep].mean()) / (ablated[keep].mean() - original[keep].mean())
    assert by_rows.without_units(problem.unit_codes)[3] == pytest.approx(without, rel=1e-9)
    both = np.vstack([np.eye(5), -np.eye(5)])  # puts everything back
    assert M.LossRecovered(row_loss, ablation)(both, problem) == pytest.approx(1, abs=1e-12)


def test_divergence_is_that_of_the_predictions(world):
    V, problem = world
    p = np.exp(log_softmax(predictions(None, problem), axis=1))
    q = np.exp(log_softmax(predictions(encoded(problem, V) @ V, problem), axis=1))
    expected = -np.array([entropy(a, b) for a, b in zip(p, q, strict=True)])
    for logits in (predictions, in_blocks):
        found = M.NegKL(logits)(V, problem)
        assert np.allclose(found.values[:, 0], expected, rtol=1e-9)
    assert M.NegKL(predictions)(np.vstack([np.eye(5), -np.eye(5)]), problem) == pytest.approx(0, abs=1e-12)


def untouched(activations, problem):
    return 1.0


def too_long(activations, problem):
    return np.ones(problem.n + 1)


def unlike(activations, problem):
    yield np.zeros((problem.n if activations is None else 5, 3))


def too_short(activations, problem):
    yield np.zeros((5, 3))


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (M.LossRecovered(untouched), "must change the loss"),
        (M.LossRecovered(too_long), "one per row"),
        (M.NegKL(unlike), "blocks of the same rows"),
        (M.NegKL(too_short), "cover the problem's 90 rows, got 5"),
    ],
)
def test_callables_that_do_not_fit_are_refused(world, metric, sentence):
    with pytest.raises(InputError, match=sentence):
        metric(*world)


def test_what_is_no_function_is_refused():
    for make in (M.LossRecovered, M.NegKL):
        with pytest.raises(InputTypeError, match="must be a function"):
            make(3)


@pytest.mark.parametrize("control", [
    ct.SurrogateLatents(), ct.SurrogateLatents(method="shift"), ct.SurrogateLatents(within="document"),
])  # fmt: skip
def test_entropy_is_that_of_the_latents_which_a_surrogate_places(control):
    rng = np.random.default_rng(0)
    token = rng.integers(6, size=120)
    problem = ct.Problem(np.eye(6)[token], groups={"token": token, "document": np.arange(120) // 30})
    drawn = control.draw_finding(np.eye(6), problem, rng)
    latents = np.empty((120, 6))
    for rows, block in drawn.latents(problem):
        latents[rows] = block
    shares = np.stack([latents[token == each].sum(axis=0) for each in range(6)]) / latents.sum(axis=0)
    expected = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=0)
    np.testing.assert_allclose(M.TokenEntropy().per_latent(drawn, problem), expected)
    assert M.TokenEntropy()(np.eye(6), problem) < 1e-12 < expected.min()


def test_an_ablation_that_lowers_the_loss_has_no_share_to_recover():
    problem = ct.Problem([[1.0, 5.0], [3.0, 5.0]])

    def loss(activations, problem):
        return ((problem.X if activations is None else activations)[:, 0] - 2) ** 2

    assert np.isnan(M.LossRecovered(loss)(np.array([[1.0, 0.0]]), problem))
