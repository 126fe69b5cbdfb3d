"""How large a generated world is to be: the arguments that all of them take, checked."""

import operator


def checked_sizes(**bounds):
    """Return arguments as ints, or raise an error that names the wrong one.

    Args:
        **bounds: for each argument its value, the least and the first that is too large.

    Returns:
        A list of ints, in the same order.

    Raises:
        TypeError: if a value is not an int.
        ValueError: if a value is outside its bounds.

    Example:

    >>> checked_sizes(n_items=(200, 50, 2**31), seed=(0, 0, 2**31))
    [200, 0]
    """
    for name, (value, least, beyond) in bounds.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"Expected `{name}` to be an int. Received: {value!r}.")
        if not least <= operator.index(value) < beyond:
            limit = "2**31" if beyond == 2**31 else beyond
            raise ValueError(f"Expected `{name}` in [{least}, {limit}). Received: {value}.")
    return [operator.index(value) for value, _, _ in bounds.values()]
