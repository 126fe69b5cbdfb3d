import numpy as np
import pandas as pd
import pytest

from mmrec_tf import Dataset, baselines, cosine_similarity
from mmrec_tf.baselines import (
    EASE,
    ContentCentroid,
    ImplicitALS,
    ItemKNN,
    Popularity,
    Random,
    RidgePerUser,
    UserKNN,
)

N_USERS, N_ITEMS = 30, 20
COLD_ITEM, NEW_USER = 7, 4
FEATURES = np.random.default_rng(1).normal(size=(N_ITEMS, 5))
BASELINES = {
    "random": Random,
    "popularity": Popularity,
    "decayed popularity": lambda: Popularity(half_life=1000),
    "item-kNN": lambda: ItemKNN(neighbours=6),
    "user-kNN": lambda: UserKNN(neighbours=6),
    "EASE": lambda: EASE(regularization=5.0),
    "ALS": lambda: ImplicitALS(factors=4, regularization=0.5, iterations=4),
    "ridge": lambda: RidgePerUser(FEATURES),
    "centroid": lambda: ContentCentroid(FEATURES),
}
# Those that know an item from its interactions alone, and score from the user's history.
COLLABORATIVE = ["item-kNN", "user-kNN", "EASE", "ALS"]
every = pytest.mark.parametrize("create", BASELINES.values(), ids=BASELINES.keys())


def frame(user, item, **columns):
    timestamp = columns.pop("timestamp", np.arange(len(user)))
    return pd.DataFrame({"user": user, "item": item, "timestamp": timestamp, **columns})


def dataset(interactions, n_users=N_USERS, n_items=N_ITEMS):
    users, items = (pd.DataFrame(index=range(n)) for n in (n_users, n_items))
    return Dataset("generated", users, items, interactions)


def generated_log():
    """Two tastes, with one item and one user that have no interaction."""
    rng = np.random.default_rng(0)
    likes = rng.random((N_USERS, N_ITEMS)) < np.where(
        np.arange(N_USERS)[:, None] % 2 == np.arange(N_ITEMS) % 2, 0.5, 0.1
    )
    likes[:, COLD_ITEM] = likes[NEW_USER] = False
    user, item = np.nonzero(likes)
    order = rng.permutation(len(user))
    return frame(user[order], item[order], timestamp=rng.integers(10_000, size=len(user)))


LOG = generated_log()
DATA = dataset(LOG)
X = np.zeros((N_USERS, N_ITEMS))
X[LOG["user"], LOG["item"]] = 1
USERS = np.arange(N_USERS)


def ridge_oracle(x, y, regularization):
    """Solve min |y - x w|² + λ |w|² as the least squares of stacked equations."""
    stacked = np.vstack([x, np.sqrt(regularization) * np.eye(x.shape[1])])
    return np.linalg.lstsq(stacked, np.concatenate([y, np.zeros(x.shape[1])]), rcond=None)[0]


def cosines(rows, others, shrinkage):
    """Write the definition out, pair by pair."""
    return np.array(
        [
            [(a @ b) / (np.sqrt(a.sum() * b.sum()) + shrinkage) if a @ b else 0.0 for b in others]
            for a in rows
        ]
    )


def nearest(similarities, n, but):
    """Return the n best positions, of equals the first ones, but for one and for zeros."""
    order = sorted(range(len(similarities)), key=lambda j: (-similarities[j], j))
    return [j for j in order if j != but and similarities[j] > 0][:n]


# --- Each model against its definition ------------------------------------------------------------


def test_popularity_by_hand():
    # Item 0: 3 at age 0. Item 1: 1 at age 10 and 2 at age 20. Item 2: nothing.
    log = frame([0, 1, 0], [0, 1, 1], timestamp=[100, 90, 80], weight=[3.0, 1.0, 2.0])
    data = dataset(log, 2, 3)
    np.testing.assert_array_equal(Popularity().fit(data, log).score([1, 0]), [[3, 3, 0]] * 2)
    decayed = Popularity(half_life=10).fit(data, log).score([1])
    np.testing.assert_array_equal(decayed, [[3, 1 / 2 + 2 / 4, 0]])


@pytest.mark.parametrize("shrinkage", [0.0, 4.0])
def test_item_knn_is_its_definition(shrinkage):
    model = ItemKNN(neighbours=3, shrinkage=shrinkage).fit(DATA, LOG)
    similarity = cosines(X.T, X.T, shrinkage)
    expected = np.zeros_like(X)
    for u in USERS:
        for j in np.flatnonzero(X[u]):
            for i in nearest(similarity[j], 3, but=j):
                expected[u, i] += similarity[j, i]
    np.testing.assert_allclose(model.score(USERS), expected, rtol=1e-6)


@pytest.mark.parametrize("shrinkage", [0.0, 4.0])
def test_user_knn_is_its_definition_folded_in_or_not(shrinkage):
    more = frame([NEW_USER, NEW_USER, 0], [0, 2, 19])
    model = UserKNN(neighbours=3, shrinkage=shrinkage).fit(DATA, LOG).fold_in(more)
    histories = X.copy()
    histories[more["user"], more["item"]] = 1
    similarity = cosines(histories, X, shrinkage)
    expected = np.zeros_like(X)
    for u in USERS:
        for v in nearest(similarity[u], 3, but=u):
            expected[u] += similarity[u, v] * X[v]
    assert expected[NEW_USER].any()
    np.testing.assert_allclose(model.score(USERS), expected, rtol=1e-6)


def test_neighbours_do_not_depend_on_the_size_of_a_piece(monkeypatch):
    whole = [model(neighbours=3).fit(DATA, LOG).score(USERS) for model in (ItemKNN, UserKNN)]
    monkeypatch.setattr(baselines, "_PIECE", 7 * N_ITEMS)
    pieces = [model(neighbours=3).fit(DATA, LOG).score(USERS) for model in (ItemKNN, UserKNN)]
    np.testing.assert_array_equal(pieces, whole)


def test_ease_solves_the_constrained_least_squares_column_by_column():
    expected = np.zeros_like(X)
    for j in range(N_ITEMS):
        others = np.arange(N_ITEMS) != j
        expected[:, j] = X[:, others] @ ridge_oracle(X[:, others], X[:, j], 5.0)
    model = EASE(regularization=5.0).fit(DATA, LOG)
    np.testing.assert_allclose(model.score(USERS), expected, rtol=1e-5, atol=1e-7)


def als_objective(x, y, strengths, regularization, alpha):
    confidence = 1 + alpha * strengths
    errors = confidence * ((strengths > 0) - x @ y.T) ** 2
    return errors.sum() + regularization * ((x**2).sum() + (y**2).sum())


def als_with_weights(iterations):
    strengths = X * (1 + np.arange(N_ITEMS) % 3)
    log = LOG.assign(weight=strengths[LOG["user"], LOG["item"]])
    model = ImplicitALS(factors=4, regularization=0.7, alpha=1.5, iterations=iterations)
    return model.fit(dataset(log), log), strengths


def test_als_objective_falls_with_every_half_step():
    values = []
    model, strengths = als_with_weights(1)
    for iterations in range(2, 8):
        users = model._solve(model.history, model.item_vectors)
        values.append(als_objective(users, model.item_vectors, strengths, 0.7, 1.5))
        model, _ = als_with_weights(iterations)
        values.append(als_objective(users, model.item_vectors, strengths, 0.7, 1.5))
    assert np.all(np.diff(values) < 0)


@pytest.mark.parametrize("side", ["users", "items"])
def test_als_half_step_has_no_gradient(side):
    model, strengths = als_with_weights(3)
    x = model._solve(model.history, model.item_vectors)
    y = model.item_vectors if side == "users" else model._solve(model.history.T.tocsr(), x)
    moved = x if side == "users" else y
    solution = moved.copy()
    gradient = np.empty_like(moved)
    for place in np.ndindex(moved.shape):  # A central difference is exact for a quadratic.
        up, down = 1e-3, -1e-3
        moved[place] = solution[place] + up
        above = als_objective(x, y, strengths, 0.7, 1.5)
        moved[place] = solution[place] + down
        below = als_objective(x, y, strengths, 0.7, 1.5)
        moved[place] = solution[place]
        gradient[place] = (above - below) / (up - down)
    assert np.abs(solution).max() > 0.1
    np.testing.assert_allclose(gradient, 0, atol=1e-8)


def test_als_scores_by_the_exact_half_step_from_the_folded_in_history():
    more = frame([NEW_USER] * 3, [0, 2, 2], weight=[1.0, 2.0, 0.5])
    model = ImplicitALS(factors=4, regularization=0.7, alpha=1.5).fit(DATA, LOG).fold_in(more)
    strengths = np.zeros(N_ITEMS)
    strengths[[0, 2]] = 1.0, 2.5
    root = np.sqrt(1 + 1.5 * strengths)
    vector = ridge_oracle(root[:, None] * model.item_vectors, root * (strengths > 0), 0.7)
    expected = model.item_vectors @ vector
    np.testing.assert_allclose(model.score([NEW_USER])[0], expected, rtol=1e-5, atol=1e-7)


def test_als_does_not_depend_on_the_size_of_a_piece(monkeypatch):
    whole = BASELINES["ALS"]().fit(DATA, LOG).score(USERS)
    monkeypatch.setattr(baselines, "_PIECE", 7 * 4**2)
    np.testing.assert_allclose(BASELINES["ALS"]().fit(DATA, LOG).score(USERS), whole, rtol=1e-5)


def test_ridge_is_least_squares_on_the_items_of_training_alone():
    model = RidgePerUser(FEATURES, regularization=2.0).fit(DATA, LOG)
    warm = np.arange(N_ITEMS) != COLD_ITEM
    expected = np.array([FEATURES @ ridge_oracle(FEATURES[warm], x[warm], 2.0) for x in X])
    np.testing.assert_allclose(model.score(USERS), expected, rtol=1e-5, atol=1e-7)
    folded_in = model.fold_in(frame(USERS, np.full(N_USERS, COLD_ITEM)))
    np.testing.assert_allclose(folded_in.score(USERS), expected, rtol=1e-5, atol=1e-7)


def test_centroid_ranks_by_the_mean_cosine_to_the_history():
    strengths = X * (1 + np.arange(N_ITEMS) % 3)
    log = LOG.assign(weight=strengths[LOG["user"], LOG["item"]])
    scores = ContentCentroid(FEATURES).fit(dataset(log), log).score(USERS)
    pairwise = cosine_similarity(FEATURES, FEATURES)
    directions = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    for u in np.delete(USERS, NEW_USER):
        mean = np.average(pairwise, axis=0, weights=strengths[u])
        length = np.linalg.norm(np.average(directions, axis=0, weights=strengths[u]))
        np.testing.assert_allclose(scores[u], mean / length, rtol=1e-5, atol=1e-7)


def test_random_is_uniform_and_has_another_draw_for_each_user_item_and_seed():
    data = dataset(frame([0], [0]), 200, 200)
    users = np.arange(200)
    draws = [Random(seed=s).fit(data, data.interactions).score(users) for s in (0, 1)]
    np.testing.assert_allclose(np.quantile(draws[0], [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
    rows = np.corrcoef(np.vstack([draws[0][:5], draws[0].T[:5], draws[1][:5]]))
    assert np.abs(rows - np.eye(15)).max() < 0.3


# --- What all have in common ----------------------------------------------------------------------


@every
def test_scores_and_lists_have_their_shapes_and_leave_out_what_was_seen(create):
    model = create()
    assert model.fit(DATA, LOG) is model
    users = np.array([3, NEW_USER, 3, 29], np.int32)
    scores = model.score(users)
    assert scores.shape == (4, N_ITEMS)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores[0], scores[2])

    ids, values = model.recommend(users, 3)
    assert ids.shape == values.shape == (4, 3)
    assert not X[users[:, None], ids].any()
    np.testing.assert_array_equal(values, np.take_along_axis(scores, ids, axis=1))
    np.testing.assert_array_equal(values[:, 0], np.where(X[users], -1e9, scores).max(axis=1))

    ids, values = model.recommend(users, 3, exclude_seen=False)
    np.testing.assert_array_equal(values[:, 0], scores.max(axis=1))
    ids, _ = model.recommend(users, 3, exclude_seen=False, candidates=np.array([5, 8, 9]))
    np.testing.assert_array_equal(np.sort(ids), [[5, 8, 9]] * 4)
    assert model.score([]).shape == (0, N_ITEMS)
    assert model.recommend([], 3)[0].shape == (0, 3)


@every
def test_same_result_in_any_batch_and_every_time(create, monkeypatch):
    model = create().fit(DATA, LOG)
    ids, values = model.recommend(USERS, 5)
    np.testing.assert_array_equal(create().fit(DATA, LOG).score(USERS), model.score(USERS))
    singly = np.concatenate([model.score([user]) for user in USERS])
    np.testing.assert_allclose(singly, model.score(USERS), rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(baselines, "_PIECE", 7 * N_ITEMS)
    ids_in_pieces, values_in_pieces = model.recommend(USERS, 5)
    np.testing.assert_array_equal(ids_in_pieces, ids)
    np.testing.assert_allclose(values_in_pieces, values, rtol=1e-5, atol=1e-6)


def test_the_seed_orders_equal_scores():
    model = ItemKNN().fit(DATA, LOG)
    lists = [model.recommend([NEW_USER], N_ITEMS, seed=seed)[0].tolist() for seed in (0, 0, 1)]
    assert lists[0] == lists[1] != lists[2]


@every
def test_only_the_rows_given_count_in_any_order(create):
    train, test = LOG[::2], LOG[1::2]
    scores = create().fit(DATA, train).score(USERS)
    other = test.assign(item=(test["item"] + 1) % N_ITEMS, timestamp=10**9)
    data = dataset(pd.concat([train, other]))
    np.testing.assert_array_equal(create().fit(data, train).score(USERS), scores)
    shuffled = create().fit(DATA, train.sample(frac=1, random_state=0)).score(USERS)
    np.testing.assert_allclose(shuffled, scores, rtol=1e-5, atol=1e-7)


@every
def test_fitting_again_forgets_the_first_fit(create):
    model = create().fit(DATA, LOG[:50]).fit(DATA, LOG[50:])
    np.testing.assert_array_equal(model.score(USERS), create().fit(DATA, LOG[50:]).score(USERS))


@pytest.mark.parametrize("name", [*COLLABORATIVE, "ridge", "centroid"])
def test_no_history_no_preference_until_one_is_folded_in(name):
    model = BASELINES[name]().fit(DATA, LOG)
    assert not model.score([NEW_USER]).any()
    others = np.delete(USERS, NEW_USER)
    before = model.score(others)
    model.fold_in(frame([NEW_USER] * 2, [0, 2]))
    assert model.score([NEW_USER]).any()
    np.testing.assert_array_equal(model.score(others), before)
    assert not np.isin(model.recommend([NEW_USER], N_ITEMS - 2)[0], [0, 2]).any()


@pytest.mark.parametrize("name", ["item-kNN", "EASE", "ALS", "ridge", "centroid"])
def test_a_stranger_with_a_users_history_gets_that_users_scores(name):
    model = BASELINES[name]().fit(DATA, LOG)
    model.fold_in(LOG[LOG["user"] == 3].assign(user=NEW_USER))
    np.testing.assert_allclose(model.score([NEW_USER]), model.score([3]), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["ridge", "centroid"])
def test_folding_in_is_fitting_where_the_items_do_not_change(name):
    first = ~LOG["item"].duplicated() | (LOG.index % 2 == 0)  # Every warm item stays warm.
    folded_in = BASELINES[name]().fit(DATA, LOG[first]).fold_in(LOG[~first])
    fitted = BASELINES[name]().fit(DATA, LOG)
    np.testing.assert_allclose(folded_in.score(USERS), fitted.score(USERS), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["popularity", *COLLABORATIVE])
def test_an_item_without_interactions_scores_exactly_0(name):
    scores = BASELINES[name]().fit(DATA, LOG).score(USERS)
    np.testing.assert_array_equal(scores[:, COLD_ITEM], 0)


@every
def test_a_row_that_stands_twice_is_one_of_twice_the_weight(create):
    twice = create().fit(DATA, pd.concat([LOG, LOG[:40]])).score(USERS)
    weights = np.where(np.arange(len(LOG)) < 40, 2.0, 1.0)
    doubled = create().fit(DATA, LOG.assign(weight=weights)).score(USERS)
    np.testing.assert_allclose(twice, doubled, rtol=1e-5, atol=1e-7)
    uses_strengths = isinstance(create(), Popularity | ImplicitALS | ContentCentroid)
    changed = np.abs(twice - create().fit(DATA, LOG).score(USERS)).max() > 1e-3
    assert changed == uses_strengths


# --- Errors ---------------------------------------------------------------------------------------


@every
def test_wrong_use_is_named(create):
    for method in (lambda m: m.score([0]), lambda m: m.recommend([0], 1), lambda m: m.fold_in(LOG)):
        with pytest.raises(RuntimeError, match=r"to be fitted. Call fit\(dataset, interactions\)"):
            method(create())
    model = create().fit(DATA, LOG)
    with pytest.raises(IndexError, match=r"users in \[0, 30\). Received: 30"):
        model.score([3, 30])
    with pytest.raises(IndexError, match=r"Received: -1"):
        model.recommend([-1], 1)
    with pytest.raises(ValueError, match=r"integers of shape \(n,\). Received: float64"):
        model.score([0.5])
    with pytest.raises(ValueError, match=r"at least one interaction"):
        create().fit(DATA, LOG[:0])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (frame([0, 30], [0, 0]), r"`interactions.user` in \[0, 30\). Received: 30 in row 1"),
        (frame([0, 0], [-1, 0]), r"`interactions.item` in \[0, 20\). Received: -1 in row 0"),
        (frame([0, 0], [1, 0], weight=[1, 0]), r"`interactions.weight`.*Received: 0.0 in row 1"),
        (frame([0], [1], weight=[np.nan]), r"`interactions.weight`.*Received: nan in row 0"),
    ],
)
def test_faulty_rows_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        Popularity().fit(DATA, rows)
    with pytest.raises(ValueError, match=message):
        Popularity().fit(DATA, LOG).fold_in(rows)


@pytest.mark.parametrize("model", [RidgePerUser, ContentCentroid])
def test_faulty_features_are_named(model):
    with pytest.raises(ValueError, match=r"\(n_items, dim\). Received: \(20,\)"):
        model(FEATURES[:, 0])
    with pytest.raises(ValueError, match=r"a NaN or an infinity in row 2"):
        model(np.where(np.arange(N_ITEMS)[:, None] == 2, np.inf, FEATURES))
    with pytest.raises(ValueError, match=r"`features` of 20 items. Received: 19 rows"):
        model(FEATURES[1:]).fit(DATA, LOG)


def test_centroid_needs_directions():
    with pytest.raises(ValueError, match=r"row 3 is all zeros"):
        ContentCentroid(np.where(np.arange(N_ITEMS)[:, None] == 3, 0, FEATURES))


def test_ease_says_what_to_do_with_too_many_items(monkeypatch):
    monkeypatch.setattr(baselines, "_EASE_MAX_ITEMS", 18)
    with pytest.raises(ValueError, match=r"up to 18 items. Received: 19. Use ItemKNN"):
        EASE().fit(DATA, LOG)


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda: Popularity(half_life=0), "`half_life` to be positive. Received: 0"),
        (lambda: ItemKNN(neighbours=0), "`neighbours` to be positive"),
        (lambda: UserKNN(shrinkage=-1.0), "`shrinkage` of at least 0. Received: -1.0"),
        (lambda: EASE(regularization=0.0), "`regularization` to be positive"),
        (lambda: ImplicitALS(alpha=float("nan")), "`alpha` to be positive. Received: nan"),
        (lambda: RidgePerUser(FEATURES, regularization=-1), "`regularization` to be positive"),
        (lambda: Random(seed=-1), "`seed` of at least 0"),
    ],
)
def test_options_out_of_range_are_named(create, message):
    with pytest.raises(ValueError, match=message):
        create()
