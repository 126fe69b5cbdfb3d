"""Losses that train two towers: softmax over candidates, all or sampled, and pairwise ranking."""

from keras import ops

__all__ = ["bpr_loss", "softmax_loss"]

# Far below every score, and finite in float32: exp() of it is 0, and 0 times it is not NaN.
_NEVER = -1e9


def softmax_loss(
    positive,
    negatives,
    *,
    temperature=1.0,
    log_q=None,
    mask=None,
    hard_negatives=None,
):
    r"""Return the cross-entropy of a query's positives, each against the query's negatives.

    The steps are taken in one order, and no other order is right: scores are divided by the
    temperature; the sampling correction is subtracted; what is masked leaves; the hardest
    negatives of the rest are kept; cross-entropy.

    .. math:: \ell_{bt} = -\log \frac{e^{z_{bt}}}{e^{z_{bt}} + \sum_{c \in N_b} e^{z_{bc}}},
        \qquad z_{bt} = \frac{s_{bt}}{\tau}, \quad z_{bc} = \frac{s_{bc}}{\tau} - \log Q_c

    A positive is there for certain and not by sampling, so it is not corrected. Computed in
    float32 whatever the inputs are.

    Args:
        positive: tensor of shape `(batch,)` or `(batch, positives)`, the scores of items that the
            users chose.
        negatives: tensor of shape `(batch, candidates)`, the scores of the candidates from which
            each query's negatives come.
        temperature: positive number or scalar tensor, :math:`\tau`.
        log_q: tensor of shape `(candidates,)`, the logarithm of how often each candidate is
            expected to be among the negatives, by which popular ones are sampled more often; None
            where all candidates are there.
        mask: bool tensor of shape `(batch, candidates)`; True where a candidate is no negative,
            since it is one of the user's positives or stands in another column too.
        hard_negatives: int; the number of negatives, those with the largest :math:`z`, that are
            kept; by default all.

    Returns:
        float32 tensor of the shape of `positive`.

    Example:

    >>> import numpy as np
    >>> loss = softmax_loss(np.zeros(1), np.zeros((1, 3)))
    >>> round(float(loss[0]), 4)  # log 4
    1.3863

    References:
        X. Yi and others: Sampling-bias-corrected neural modeling for large corpus item
        recommendations. RecSys 2019, https://doi.org/10.1145/3298689.3346996
    """
    temperature = ops.cast(temperature, "float32")
    positive = ops.cast(positive, "float32") / temperature
    negatives = ops.cast(negatives, "float32") / temperature
    if log_q is not None:
        negatives = negatives - ops.cast(log_q, "float32")
    if mask is not None:
        negatives = ops.where(mask, _NEVER, negatives)
    if hard_negatives is not None:
        negatives, _ = ops.top_k(negatives, hard_negatives)
    rest = ops.logsumexp(negatives, axis=1)
    if len(positive.shape) == 2:
        rest = rest[:, None]
    return ops.softplus(rest - positive)


def bpr_loss(positive, negative):
    r"""Return the Bayesian personalised ranking loss of pairs of scores.

    .. math:: \ell = -\log \sigma(s_\text{positive} - s_\text{negative})

    Args:
        positive: tensor of shape `(batch,)`, scores of items that the users chose.
        negative: tensor of shape `(batch,)` or `(batch, n)`, scores of items that they did not.

    Returns:
        float32 tensor of the shape of `negative`.

    Example:

    >>> import numpy as np
    >>> round(float(bpr_loss(np.array([1.0]), np.array([1.0]))[0]), 4)
    0.6931

    References:
        S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme: BPR: Bayesian personalized
        ranking from implicit feedback. UAI 2009, arXiv:1205.2618
    """
    positive, negative = ops.cast(positive, "float32"), ops.cast(negative, "float32")
    if len(negative.shape) == 2:
        positive = positive[:, None]
    return ops.softplus(negative - positive)
