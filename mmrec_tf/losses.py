"""Losses that train two towers: softmax over candidates, all or sampled, and pairwise ranking."""

from keras import ops

__all__ = ["bpr_loss", "softmax_loss"]

# Far below every score, and finite in float32: exp() of it is 0, and 0 times it is not NaN.
_NEVER = -1e9


def softmax_loss(
    similarities,
    positives,
    *,
    temperature=1.0,
    log_q=None,
    mask=None,
    hard_negatives=None,
):
    r"""Return the cross-entropy of each query's positive among its candidates.

    The steps are taken in one order, and no other order is right: similarities are divided by the
    temperature; the sampling correction is subtracted; what is masked leaves; the hardest
    negatives of the rest are kept; cross-entropy.

    .. math:: \ell_b = -\log \frac{e^{z_{b p_b}}}{e^{z_{b p_b}} + \sum_{c \in N_b} e^{z_{bc}}},
        \qquad z_{bc} = \frac{s_{bc}}{\tau} - \log Q_c

    where :math:`N_b` are the query's negatives. Computed in float32 whatever the inputs are.

    Args:
        similarities: tensor of shape `(batch, candidates)`.
        positives: int tensor of shape `(batch,)`, the column of each query's positive.
        temperature: positive number or scalar tensor, :math:`\tau`.
        log_q: tensor of shape `(candidates,)`, the logarithm of each candidate's probability, or
            expected count, of being sampled, which corrects for popular candidates being sampled
            more often; None where all candidates are there.
        mask: bool tensor of shape `(batch, candidates)`; True where a candidate is not a
            negative, being another of the user's positives or the positive once more. The
            positive itself stays in any case.
        hard_negatives: int; the number of negatives, those with the largest :math:`z`, that are
            kept; by default all.

    Returns:
        float32 tensor of shape `(batch,)`.

    Example:

    >>> import numpy as np
    >>> loss = softmax_loss(np.zeros((1, 4)), np.array([2]))
    >>> round(float(loss[0]), 4)  # log 4
    1.3863

    References:
        X. Yi and others: Sampling-bias-corrected neural modeling for large corpus item
        recommendations. RecSys 2019, https://doi.org/10.1145/3298689.3346996
    """
    logits = ops.cast(similarities, "float32") / ops.cast(temperature, "float32")
    if log_q is not None:
        logits = logits - ops.cast(log_q, "float32")
    is_positive = ops.cast(ops.one_hot(positives, ops.shape(logits)[1]), "bool")
    positive = ops.sum(ops.where(is_positive, logits, 0.0), axis=1, keepdims=True)
    left_out = is_positive if mask is None else ops.logical_or(is_positive, mask)
    negatives = ops.where(left_out, _NEVER, logits)
    if hard_negatives is not None:
        negatives, _ = ops.top_k(negatives, hard_negatives)
    return ops.logsumexp(ops.concatenate([positive, negatives], axis=1), axis=1) - positive[:, 0]


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
