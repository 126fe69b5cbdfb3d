"""What generated texts are made with: random choices, and a little grammar."""


class Choices:
    """The random choices of one text, one after the other.

    Args:
        bits: random ints, as `random_bits(...).tolist()`; more than the text makes choices.

    Example:

    >>> choices = Choices([7, 4, 9])
    >>> choices.number(5), choices.pick(["oak", "elm"])
    (2, 'oak')
    """

    def __init__(self, bits):
        self.bits = iter(bits)

    def number(self, n):
        """Return an int in [0, n)."""
        return next(self.bits) % n

    def pick(self, options):
        """Return one of the options."""
        return options[self.number(len(options))]

    def shuffle(self, parts):
        """Bring a list into random order, in place."""
        for last in range(len(parts) - 1, 0, -1):
            other = self.number(last + 1)
            parts[last], parts[other] = parts[other], parts[last]


def with_article(phrase):
    """Return a phrase with "a" or "an" before it, by its first sound.

    >>> with_article("oak box"), with_article("unusual jar"), with_article("useful jar")
    ('an oak box', 'an unusual jar', 'a useful jar')
    """
    vowel = phrase[0].lower() in "aeiou" and not phrase.lower().startswith(("use", "uni", "one"))
    return f"{'an' if vowel or phrase.startswith('honest') else 'a'} {phrase}"


def sentence(clause):
    """Return a clause with a capital letter and a full stop.

    >>> sentence("it is made of oak")
    'It is made of oak.'
    """
    return clause[0].upper() + clause[1:] + "."
