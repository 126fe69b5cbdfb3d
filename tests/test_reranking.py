import numpy as np
import pytest

from mmrec_tf import diversity_at_k
from mmrec_tf.reranking import maximal_marginal_relevance

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(50, 6))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
ALIKE = VECTORS @ VECTORS.T
IDS = np.array([RNG.permutation(50)[:20] for _ in range(30)])
RELEVANCE = RNG.uniform(size=IDS.shape)


def one_by_one(ids, relevance, trade, k):
    """As the equation has it, item by item."""
    chosen = [int(np.argmax(relevance))]
    while len(chosen) < k:
        best, value = None, -np.inf
        for place in range(len(ids)):
            if place in chosen or relevance[place] == -np.inf:
                continue
            near = max(ALIKE[ids[place], ids[other]] for other in chosen)
            worth = trade * relevance[place] - (1 - trade) * near
            if worth > value:
                best, value = place, worth
        chosen.append(best)
    return ids[chosen]


@pytest.mark.parametrize("trade", [0.0, 0.3, 0.7, 1.0])
def test_lists_are_those_of_the_equation(trade):
    relevance = np.where(RNG.random(IDS.shape) < 0.2, -np.inf, RELEVANCE)
    found = maximal_marginal_relevance(IDS, relevance, ALIKE, trade=trade, k=8)
    for row in range(len(IDS)):
        np.testing.assert_array_equal(found[row], one_by_one(IDS[row], relevance[row], trade, 8))


def test_relevance_alone_is_the_plain_list_and_less_of_it_is_more_diverse():
    lists = {
        trade: maximal_marginal_relevance(IDS, RELEVANCE, ALIKE, trade=trade, k=8)
        for trade in (1.0, 0.5, 0.1)
    }
    plain = np.take_along_axis(IDS, np.argsort(-RELEVANCE, axis=1)[:, :8], axis=1)
    np.testing.assert_array_equal(lists[1.0], plain)
    spread = [diversity_at_k(lists[trade], VECTORS, 8).mean() for trade in lists]
    assert spread[0] < spread[1] < spread[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relevance": RELEVANCE[:, 1:]}, r"one shape \(n, m\). Received: \(30, 20\) and \(30, 19"),
        ({"trade": 1.1}, r"`trade` in \[0, 1\]. Received: 1.1"),
        ({"k": 21}, r"`k` in \[1, 20\]. Received: 21"),
        ({"relevance": np.where(np.arange(20) < 13, -np.inf, RELEVANCE)}, "8 candidates.*Row 0"),
    ],
)
def test_what_cannot_be_is_named(change, message):
    options = {"relevance": RELEVANCE, "trade": 0.5, "k": 8} | change
    with pytest.raises(ValueError, match=message):
        maximal_marginal_relevance(IDS, similarity=ALIKE, **options)
