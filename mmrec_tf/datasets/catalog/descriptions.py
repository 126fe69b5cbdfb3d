"""Descriptions of generated items: two to four English sentences that a careful reader decodes."""

import numpy as np

from mmrec_tf._random import random_bits
from mmrec_tf.datasets.catalog.phrases import Choices, sentence, with_article

_KEY = 51
_CHOICES = 64  # random choices at hand for one text; more than any text makes

# What each value of the attribute "material" may be called, ceramic first.
MATERIALS = (
    ("stoneware", "porcelain", "earthenware", "glazed clay", "terracotta", "bone china"),
    ("blown glass", "recycled glass", "crystal", "frosted glass", "pressed glass", "bottle glass"),
    ("oak", "walnut", "solid beech", "ash wood", "birch plywood", "cherry wood"),
    ("stainless steel", "brass", "copper", "brushed aluminium", "wrought iron", "pewter"),
    ("cotton", "canvas", "denim", "organic cotton", "cotton twill", "muslin"),
    ("wool", "boiled wool", "merino", "tweed", "thick felt", "alpaca yarn"),
    ("leather", "suede", "saddle leather", "cowhide", "nubuck", "vegetable-tanned leather"),
    ("marble", "slate", "granite", "soapstone", "limestone", "travertine"),
)
# What each value of the attribute "use" may be called, travel first; each may follow "for".
USES = (
    ("travel", "long journeys", "weekends away", "people who live out of a suitcase",
     "the sleeper train", "the road"),
    ("work", "the office", "busy desks", "long meetings", "the study", "people who write all day"),
    ("the kitchen", "keen cooks", "family meals", "Sunday baking", "the dining table",
     "the breakfast bar"),
    ("the bedroom", "light sleepers", "the bedside", "quiet nights", "lazy mornings in bed",
     "people who read until midnight"),
    ("the garden", "the terrace", "warm evenings outside", "balconies", "people who grow tomatoes",
     "the potting shed"),
    ("children", "the nursery", "rainy days with toddlers", "small hands", "the playroom",
     "new parents"),
)  # fmt: skip
_PLURALS = {"box": "boxes"}
_ADJECTIVES = (
    "simple", "sturdy", "slender", "handsome", "modest", "elegant", "unusual", "old-fashioned",
    "well-made", "honest", "unassuming", "friendly-looking",
)  # fmt: skip
_MAKERS = (
    "a family workshop", "two sisters", "an old manufactory", "a small studio", "an island co-op",
    "a retired engineer", "a school of design", "an association of makers",
)  # fmt: skip
_PACKAGES = ("pouch", "sleeve", "wrapping", "box", "case", "envelope", "outer box", "bag")

# A verb in the singular and in the plural.
_IS, _HAS, _COMES, _LOOKS = ("is", "are"), ("has", "have"), ("comes", "come"), ("looks", "look")
_MADE = (
    "made of", "cut from", "built from", "worked in", "finished in", "shaped from", "made from",
    "clad in", "executed in",
)  # fmt: skip
_MEANT = (
    "meant for", "made for", "designed for", "intended for", "ideal for", "a fine choice for",
    "thought out for", "just right for",
)  # fmt: skip


def write_descriptions(seed, items, material, use, kind, nouns):
    r"""Write one description an item.

    Every text states the item's material and its use exactly once. Most also mention other
    materials or uses, in passing: what the item is packed in, what it is unlike, what stands beside
    it, whom it would not suit. So counting words misleads, and reading does not.

    Args:
        seed: the shop's seed.
        items: int array of shape `(n,)`.
        material: int array of shape `(n,)`, positions in `MATERIALS`.
        use: int array of shape `(n,)`, positions in `USES`.
        kind: int array of shape `(n,)`, positions in `nouns`.
        nouns: what the things are called, in the singular.

    Returns:
        object array of `str`, shape `(n,)`.

    Example:

    >>> wool, sleep = np.array([5]), np.array([3])
    >>> text = write_descriptions(0, np.array([13]), wool, sleep, np.array([0]), ["lamp"])[0]
    >>> print(text.replace(". ", ".\n"))
    Built from boiled wool, this simple lamp is thought out for quiet nights.
    It would be wasted on Sunday baking.
    """
    bits = random_bits((seed, _KEY), np.asarray(items)[:, None], np.arange(_CHOICES)).tolist()
    rows = zip(bits, material.tolist(), use.tolist(), kind.tolist(), strict=True)
    texts = [_Text(row, nouns[k]).write(m, u) for row, m, u, k in rows]
    return np.array(texts, dtype=object)


class _Text(Choices):
    """One text in the making: its random choices, and the noun that its sentences are about."""

    def __init__(self, bits, noun):
        super().__init__(bits)
        self.noun = noun
        self.many = self.number(4) == 0  # a quarter of the texts speak of the things in the plural

    def others(self, options, value, n):
        """Pick names of n values, all different and other than this one."""
        values = [other for other in range(len(options)) if other != value]
        self.shuffle(values)
        return [self.pick(options[other]) for other in values[:n]]

    def verb(self, forms):
        return forms[self.many]

    def subject(self):
        """Name the things for the first time: "this simple box", "our boxes"."""
        noun = _PLURALS.get(self.noun, self.noun + "s") if self.many else self.noun
        adjective = self.pick(_ADJECTIVES) + " " if self.number(2) else ""
        article = self.pick(("these", "our") if self.many else ("this", "our", "the"))
        return f"{article} {adjective}{noun}"

    def indefinite(self):
        """Name the things anew: "a simple box", "simple boxes"."""
        noun = _PLURALS.get(self.noun, self.noun + "s") if self.many else self.noun
        phrase = f"{self.pick(_ADJECTIVES)} {noun}"
        return phrase if self.many else with_article(phrase)

    def write(self, material, use):
        it, its = ("they", "their") if self.many else ("it", "its")
        made = f"{self.pick(_MADE)} {self.pick(MATERIALS[material])}"
        meant = f"{self.pick(_MEANT)} {self.pick(USES[use])}"
        if self.many:
            meant = meant.replace("a fine choice", "fine choices")
        facts = self.facts(it, made, meant, material)
        rest = facts[1:] + self.asides(it, material, use)
        if not rest or (len(rest) < 3 and self.number(2)):
            rest.append(self.filler(it, its))
        # The first sentence names the things; all others follow in any order.
        self.shuffle(rest)
        return " ".join(sentence(part) for part in [facts[0], *rest])

    def facts(self, it, made, meant, material):
        """State material and use in one sentence or in two; the first names the things."""
        subject, be = self.subject(), self.verb(_IS)
        [other] = self.others(MATERIALS, material, 1)
        unlike = f"unlike {other}, {it} {self.verb(('ages', 'age'))} well"
        one = (
            f"{subject} {be} {made} and {meant}",
            f"{made}, {subject} {be} {meant}",
            f"{meant}, {subject} {be} {made}",
            f"here {be} {self.indefinite()}, {made} and {meant}",
            f"{subject}, {made}, {be} {meant}",
            f"{subject} {be} {meant}, and {it} {be} {made}; {unlike}",
        )
        turns = (
            f"the whole of {'them' if self.many else 'it'} is {made}",
            f"{it} {be} {made}",
            f"{it} {be} {made}, down to the smallest part",
            f"as one feels at once, {it} {be} {made}",
        )
        purposes = (
            f"{it} {be} {meant}",
            f"above all {it} {be} {meant}",
            f"we think {it} {be} {meant}",
            f"buyers tell us that {it} {be} {meant}",
        )
        shape = self.number(3)
        if shape == 0:
            return [self.pick(one)]
        if shape == 1:
            return [f"{subject} {be} {made}", self.pick(purposes)]
        return [f"{subject} {be} {meant}", self.pick(turns)]

    def asides(self, it, material, use):
        """Mention other materials and uses, in no sentence, in one or in two."""
        count = self.pick((0, 1, 1, 2))
        wrong = self.others(MATERIALS, material, 2)
        [other_use] = self.others(USES, use, 1)
        package = self.pick(_PACKAGES)
        do = "do" if self.many else "does"
        materials = (
            f"{it} {self.verb(_COMES)} in {with_article(f'{wrong[0]} {package}')}",
            f"{it} {self.verb(_LOOKS)} well next to {wrong[0]}",
            f"unlike {wrong[0]}, {it} {do} not mind a knock",
            f"no {wrong[0]} was used, and no {wrong[1]} either",
            f"from afar one might take {'them' if self.many else 'it'} for {wrong[0]}",
            f"an earlier version in {wrong[0]} has sold out",
            f"{it} {self.verb(('goes', 'go'))} with {wrong[0]} as well as with {wrong[1]}",
            f"{it} {self.verb(_IS)} easier to keep clean than {wrong[0]}",
        )
        uses = (
            f"{it} would be wasted on {other_use}",
            f"for {other_use} there are better choices",
            f"{it} {self.verb(('was', 'were'))} never intended for {other_use}",
            f"if you need something for {other_use}, look further",
        )
        chosen = [self.pick(materials), self.pick(uses)]
        if self.number(2):
            chosen.reverse()
        return chosen[:count]

    def filler(self, it, its):
        """Say something that tells nothing."""
        maker = self.pick(_MAKERS)
        few = self.pick(("two", "three", "four", "five", "six", "seven", "eight"))
        return self.pick(
            (
                f"{it} {self.verb(_COMES)} from {maker}",
                f"the design is by {maker}",
                f"{it} {self.verb(_HAS)} been in our range for {few} years",
                f"orders leave our house within {few} days",
                f"the first {few} hundred were gone in a week",
                f"{maker} looked after every detail",
                f"we have tried {'them' if self.many else 'it'} ourselves for {few} months",
                f"one look at {its} proportions, and you know the hand of {maker}",
                f"spare parts are kept for {few} years",
                f"you may send {'them' if self.many else 'it'} back within {few} weeks",
            )
        )
