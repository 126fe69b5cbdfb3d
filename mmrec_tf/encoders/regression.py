"""Say from an item's numbers where its users place it, by one ridge regression."""

import numpy as np

__all__ = ["ContentRegression"]


class ContentRegression:
    r"""Ridge regression from what describes items to where users' choices place them.

    Columns are brought to mean 0 and standard deviation 1, and each modality is divided by the
    root of its number of columns, so that one of many columns counts no more than one of few.
    The prediction is a sum over the modalities, each of which adds what it alone says:

    .. math:: \hat y = \sum_m (x_m - \mu_m) W_m

    The predictions are scaled so that their mean squared length is one over the items of `fit`:
    the regression shrinks them, the more so the less content tells, and towers want inputs of about
    one length.

    Args:
        regularization: strength of the ridge; with about 2,000 items good values lie around 30.

    Attributes:
        means: dict from a modality's name to an array of shape `(n_columns,)`, the :math:`\mu_m`.
        matrices: dict from a modality's name to an array of shape `(n_columns, n_targets)`, the
            :math:`W_m`.

    Example:

    >>> heavy = np.array([[0.0], [1.0], [0.0], [1.0]])
    >>> regression = ContentRegression(regularization=1e-9)
    >>> targets = np.array([[-1.0], [1.0], [-1.0], [0.0]])
    >>> regression.fit({"weight": heavy}, targets, weights=np.array([1, 1, 1, 0]))
    ContentRegression(weight)
    >>> regression.predict({"weight": np.array([[1.0], [0.0]])}).round(2)
    array([[ 1.41],
           [-0.71]], dtype=float32)
    """

    def __init__(self, *, regularization=30.0):
        self.regularization = regularization
        self.means, self.matrices = {}, {}

    def fit(self, content, targets, weights):
        """Learn from the items whose weight is not 0.

        Args:
            content: dict from a modality's name to an array of shape `(n_items, n_columns)`.
            targets: array of shape `(n_items, n_targets)`, as of `collaborative_targets`.
            weights: array of shape `(n_items,)`, as of `collaborative_targets`.

        Returns:
            The regression itself.

        Raises:
            ValueError: if there is no content, it is not finite, it has another number of items
                than targets or weights, or no weight is above 0.
        """
        weights = np.asarray(weights, float)
        known = np.flatnonzero(weights)
        if not (known.size and content):
            raise ValueError("Expected some content, and a weight above 0 for some items.")
        columns, scales, means = [], {}, {}
        for name, values in content.items():
            values = np.asarray(values, float)
            if values.ndim != 2 or not len(values) == len(targets) == len(weights):
                raise ValueError(
                    f"Expected {name!r} of shape ({len(targets)}, n_columns), one row an item as "
                    f"in targets and weights. Received: {values.shape}, {len(weights)} weights."
                )
            values = values[known]
            if not np.isfinite(values).all():
                raise ValueError(f"Expected finite numbers in {name!r}. Received: NaN or inf.")
            means[name] = values.mean(axis=0)
            # A column that hardly varies is not blown up.
            scales[name] = (values.std(axis=0) + 1e-3) * np.sqrt(values.shape[1])
            columns.append((values - means[name]) / scales[name])
        x = np.hstack(columns)
        weighted = x.T * weights[known]
        gram = weighted @ x + self.regularization * np.eye(x.shape[1])
        w = np.linalg.solve(gram, weighted @ np.asarray(targets, float)[known])
        length = np.sqrt(np.mean(np.sum(np.square(x @ w), axis=1)))
        parts = np.split(w / max(length, 1e-12), np.cumsum([c.shape[1] for c in columns])[:-1])
        self.means = means
        self.matrices = {
            name: part / scales[name][:, None] for name, part in zip(scales, parts, strict=True)
        }
        return self

    def parts(self, content):
        """Return what each modality alone says of items; the prediction is their sum.

        Args:
            content: dict from the modalities of `fit` to arrays of shape `(n, n_columns)`.

        Returns:
            Dict from a modality's name to a float32 array of shape `(n, n_targets)`.

        Raises:
            RuntimeError: before `fit`.
            ValueError: if the modalities are others than those of `fit`.
        """
        if not self.matrices:
            raise RuntimeError("Expected a trained regression. Call `fit` first.")
        if set(content) != set(self.matrices):
            raise ValueError(
                f"Expected the modalities {sorted(self.matrices)}. Received: {sorted(content)}."
            )
        return {
            name: ((np.asarray(content[name], float) - self.means[name]) @ matrix).astype(
                np.float32
            )
            for name, matrix in self.matrices.items()
        }

    def predict(self, content):
        """Return what content says of items, float32 of shape `(n, n_targets)`; see `parts`."""
        return sum(self.parts(content).values())

    def __repr__(self):
        return f"ContentRegression({', '.join(self.matrices)})"
