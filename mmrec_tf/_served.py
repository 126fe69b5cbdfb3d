"""What a model must have to be asked by those whom it has not been trained with."""


def check_without_users(model):
    """Raise an error if a two-tower model has vectors for users, for it knows no new ones."""
    n_users = model.query_tower.n_users
    if n_users is not None:
        raise ValueError(
            "Expected a query tower without vectors for users, which knows no new ones: train it "
            f"with n_users=None. Received: n_users={n_users}."
        )


def check_items(model, item_ids, index):
    """Raise an error unless there is an id for each of the model's items, and its vectors fit."""
    if len(item_ids) != model.n_items:
        raise ValueError(
            f"Expected `item_ids` of the model's {model.n_items} items. Received: {len(item_ids)}."
        )
    width = model.candidate_tower.compute_output_shape({"item": (None,)})[1]
    if index.dim != width:
        raise ValueError(
            f"Expected an `index` of vectors of length {width}, as the model has them. "
            f"Received: {index.dim}."
        )
