"""A school by the year: exercises, learners who pick what is easy and pretty, and what they learn.

What a learner masters is a state that every exercise changes. So the log is made visit by visit:
a list is shown, one exercise is picked from it and tried, and mastery grows, most where the
exercise is a little too hard and what it builds upon is there.
"""

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmrec_tf._random import random_bits, random_uniform
from mmrec_tf.datasets.catalog import ATTRIBUTES, Attribute, CatalogTruth
from mmrec_tf.datasets.catalog.arithmetic import choice, normal, uniform
from mmrec_tf.datasets.catalog.attributes import attribute_table, draw_codes, draw_tastes
from mmrec_tf.datasets.catalog.clips import FRAMES, RATE, SIZE, render_clips
from mmrec_tf.datasets.catalog.ids import numbered_ids
from mmrec_tf.datasets.catalog.interactions import DAY, START
from mmrec_tf.datasets.catalog.phrases import Choices
from mmrec_tf.datasets.catalog.sizes import checked_sizes
from mmrec_tf.datasets.catalog.stored import rendered_modality
from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.worlds.behaviour import asked, draw_slates, draw_visits, respond

__all__ = ["PREREQUISITES", "EducationTruth", "load_education", "load_education_truth"]

PREREQUISITES = {
    "counting": (),
    "addition": ("counting",),
    "subtraction": ("addition",),
    "multiplication": ("addition",),
    "angles": ("subtraction",),
    "negative numbers": ("subtraction",),
    "area": ("multiplication",),
    "powers": ("multiplication",),
    "division": ("multiplication", "subtraction"),
    "averages": ("division",),
    "fractions": ("division",),
    "equations": ("negative numbers", "division"),
    "decimals": ("fractions",),
    "ratios": ("fractions",),
    "probability": ("fractions",),
    "right triangles": ("area", "powers"),
    "percentages": ("decimals",),
    "straight lines": ("equations", "ratios"),
}
"""The skills in the order in which a teacher takes them, each with those that it builds upon."""

_TEXTS = {
    "counting": (
        "Count on from {b} by ones. Which number comes after {a} steps?",
        "Count from {b} in tens. Which number do you say after step {c}?",
        "Which whole number stands just before {a}, and which just after {b}?",
    ),
    "addition": (
        "Find the sum {a} + {b}.",
        "{name} has {a} marbles and gets {b} more. How many are there altogether?",
        "A bus carries {a} people, and {b} more get on. How many people are on it now?",
    ),
    "subtraction": (
        "Find the difference {b} − {a}.",
        "Of {b} apples {name} gives {a} away. How many are left?",
        "How much must be taken away from {b} to leave {a}?",
    ),
    "multiplication": (
        "Find the product {a} × {b}.",
        "There are {a} boxes with {b} pencils in each. How many pencils is that in all?",
        "{name} swims {a} lengths on each of {b} days. How many lengths is that?",
    ),
    "angles": (
        "Two lines cross at {a} degrees. How large is the angle beside it?",
        "By how many degrees does the hour hand turn in {a} minutes?",
        "Is an angle of {b} degrees acute, right or obtuse? Draw it with a protractor.",
    ),
    "negative numbers": (
        "Find −{a} + {b}, and mark it on the number line, left or right of zero.",
        "It was {a} degrees below zero at night and is {c} degrees warmer now. What is it now?",
        "Which is larger, −{a} or −{b}, and how far are they from zero?",
    ),
    "area": (
        "A rectangle is {a} cm long and {c} cm wide. How many square centimetres does it cover?",
        "How many square tiles cover a floor of {a} by {c} metres?",
        "{name} paints a wall {a} metres long and {c} metres high. What is its surface?",
    ),
    "powers": (
        "Write {a} × {a} × {a} with an exponent, and find its value.",
        "Which is larger, {c} squared or 2 to the power of {c}?",
        "Find the square of {a} and the cube of {c}.",
    ),
    "division": (
        "Find {b} ÷ {c}, and the remainder.",
        "{name} shares {b} sweets equally among {c} friends. How many does each get?",
        "How many times does {c} go into {b}?",
    ),
    "averages": (
        "Find the mean of {a}, {b} and {c}.",
        "The temperatures at noon were {a}, {b} and {c} degrees. What was their average?",
        "{name} scored {a}, {c} and {b} points. Find the mean and the median.",
    ),
    "fractions": (
        "Bring {c}/{a} and 1/{c} to a common denominator and add the two fractions.",
        "{name} eats one of {c} equal slices of a cake. Which fraction of the cake is left?",
        "Reduce the fraction {c}/{a} as far as it goes: numerator, denominator.",
    ),
    "equations": (
        "Solve {c}x + {a} = {b} for x.",
        "I think of a number x, multiply it by {c} and add {a}; I get {b}. What is x?",
        "For which unknown x is {a} − {c}x equal to x?",
    ),
    "decimals": (
        "Round {a}.{b} to one decimal place.",
        "Which digit stands behind the decimal point in 0.{a}{c}, in the tenths and hundredths?",
        "Write {a}.0{c} as tenths, hundredths and thousandths, and move the decimal point.",
    ),
    "ratios": (
        "Mix juice and water in the ratio {c} : {a}. How much juice goes into {b} litres of drink?",
        "A map has the scale 1 : {b}000. How far apart are places {a} cm apart on the map?",
        "Divide {b} in the ratio 1 : {c}, so that both parts keep the proportion.",
    ),
    "probability": (
        "A bag holds {a} red and {c} blue balls. How likely is it to draw a blue one at random?",
        "{name} rolls a die {c} times. What is the chance of no six?",
        "A coin is tossed {c} times. With which probability are all of them heads?",
    ),
    "right triangles": (
        "The short sides of a right triangle are {a} cm and {c} cm. How long is the hypotenuse?",
        "A ladder of {b} m leans on a wall, its foot {c} m away. How high does it reach?",
        "Is a triangle with sides {a}, {b} and {c} right-angled? Use the theorem of Pythagoras.",
    ),
    "percentages": (
        "A coat for {b} euros is {a} per cent cheaper today. What does it cost?",
        "{name} answers {c} of {b} questions correctly. How many per cent is that?",
        "What is {a} % of {b}?",
    ),
    "straight lines": (
        "Draw the line y = {c}x + {a}. What is its slope, and where does it meet the y-axis?",
        "A line runs through (0, {a}) and ({c}, {b}). Find its gradient and equation y = mx + n.",
        "Where does the graph of y = {c}x − {a} cross the x-axis?",
    ),
}  # fmt: skip
_NAMES = ("Ada", "Bo", "Chen", "Dilek", "Emil", "Fatou", "Goran", "Hana")
_TAILS = ("Show your work.", "Explain how you know.", "Check your answer.", "", "", "")

SKILL = Attribute("skill", "text", tuple(PREREQUISITES))
_DEFINITIONS = (SKILL, *(a for a in ATTRIBUTES if a.modality == "video"))
_VERSION = 1  # Raise it with every change of a clip.
_SCHOOLS = ("Northfield", "Southgate")
_END = START + 300 * DAY  # of the school year
_SHOWN = 8  # exercises in a list
_UNIT = 10.0  # how much more often the exercises of the class's present skill are shown

_SCHOOL, _JOINED, _VISITS, _ABILITY, _START, _SPEED = 91, 92, 93, 94, 95, 96
_DIFFICULTY, _LEVEL, _LABEL, _APPEAL, _FAME, _WORDS, _TRY = 97, 98, 99, 100, 101, 102, 103

# What learners like: taste has a standard deviation of 2.1, ease lies between -2 and 2.
_TASTE, _APPEAL_SPREAD, _EASE, _OFFSET, _NOISE, _ATTENTION = 1.5, 0.5, 2.0, -1.5, 1.0, 0.1
_STEEP = 2.0  # how quickly success rises with mastery, per level
_ZONE, _WIDTH = 0.25, 0.7  # practice helps most so far above the mastery, in levels
_READY = 2.5  # mastery at which a prerequisite is half there


def load_education(*, n_items=600, n_users=1500, seed=0):
    """Generate exercises, learners of two schools, and what they tried in a year.

    The same arguments give the same bytes on every machine. An exercise, and who a learner is,
    depend on the seed and their number, not on the size of the world; what happens does.

    Args:
        n_items: number of exercises, at least 50.
        n_users: number of learners, at least 1; each tries about 18 exercises.
        seed: non-negative int; another seed gives another world.

    Returns:
        `Dataset`. A row of `interactions` is an exercise that a learner picked and tried, with
        `rating` 1 if the answer was correct, else 0; nobody tries an exercise twice. `items` has
        `level`, 1 to 5, the difficulty as a teacher guesses it, and `skill`, which teachers have
        noted for one exercise in three and which is empty for the others. `PREREQUISITES` says
        what each skill builds upon. `users` has `school` and `joined` (seconds since 1970).
        Learners of the school "Southgate" begin about one level lower and come half as often;
        in all else the schools are alike. The modalities are `text`, which shows the skill, and
        `video`, of shape `(8, 32, 32, 3)`, which shows the style that learners like or not.

    Raises:
        TypeError: if an argument is not an int.
        ValueError: if an argument is too small or too large.
        OSError: on reading clips, if the cache directory cannot be written.

    Example:

    >>> school = load_education(n_items=100, n_users=50)
    >>> school.modalities["text"][26]
    'Solve 8x + 35 = 79 for x. Check your answer.'
    >>> school.items.loc["exercise-00026"].tolist()
    [np.int64(1), 'equations']
    """
    truth, log = _world(n_items, n_users, seed)
    n_items, n_users, seed = len(truth.skills), len(truth.start), truth.seed
    rows, people = np.arange(n_items), np.arange(n_users)
    guess = truth.difficulty + 0.8 * normal((seed, _LEVEL), rows)
    names = np.array(SKILL.values, dtype=object)[truth.skills]
    noted = choice(3, (seed, _LABEL), rows) == 0
    items = pd.DataFrame(
        {
            "level": np.minimum(np.maximum(np.floor(guess + 0.5), 1), 5).astype(np.int64),
            "skill": np.where(noted, names, ""),
        },
        index=numbered_ids("exercise", n_items),
    )
    users = pd.DataFrame(
        {
            "school": np.array(_SCHOOLS, dtype=object)[_school(seed, people)],
            "joined": _joined(seed, people),
        },
        index=numbered_ids("learner", n_users),
    )
    everything = np.ones(n_items, bool)
    modalities = {
        "text": Modality(everything, functools.partial(_write, seed), (), object),
        "video": rendered_modality(
            f"education-v{_VERSION}-seed{seed}-{n_items}-video.npy",
            (n_items, FRAMES, SIZE, SIZE, 3),
            np.uint8,
            functools.partial(_film, seed),
            rate=RATE,
        ),
    }
    row, place = np.nonzero(log["picked"])
    visits = log["visits"].iloc[row]
    interactions = visits.assign(item=log["slates"][row, place], rating=log["correct"][row])
    return Dataset(f"Generated school (seed {seed})", users, items, interactions, modalities)


def load_education_truth(*, n_items=600, n_users=1500, seed=0):
    """Tell what the world of the same arguments hides; see `load_education`.

    Returns:
        `EducationTruth`, for measuring and for simulated experiments. Nothing of it belongs into
        a model's input.

    Example:

    >>> truth = load_education_truth(n_items=100, n_users=50)
    >>> learner, exercise = np.array([3]), np.array([[7]])
    >>> truth.success(learner, exercise, truth.now[learner]).round(2)
    array([[0.1]])
    """
    return _world(n_items, n_users, seed)[0]


@dataclass(frozen=True, eq=False, repr=False)
class EducationTruth:
    r"""What a generated school hides from every model: skills, difficulties, tastes and mastery.

    Mastery and difficulty are in levels. With :math:`\sigma(x) = x / (1 + |x|)`, learner :math:`u`
    of mastery :math:`\theta_s` in the skill :math:`s` of exercise :math:`i`, of difficulty
    :math:`d_i` and taste :math:`t_{ui}`,

    .. math:: U_{ui} = t_{ui} + 2 \, \sigma(2 (\theta_s - d_i)) - 1.5, \qquad
        p_{ui} = \tfrac12 + \tfrac12 \sigma(2 (\theta_s - d_i))

    are the utility and the probability of success. Trying it, whatever comes out, adds

    .. math:: \Delta \theta_s = \frac{v_u}{1 + ((d_i - \theta_s - 0.25) / 0.7)^2} \;
        \min_{r} \left(\tfrac12 + \tfrac12 \sigma(4 (\theta_r - 2.5))\right)

    with the learner's speed :math:`v_u` and the minimum over what :math:`s` builds upon, 1 for
    nothing.

    Args:
        catalog: `CatalogTruth`: the skill and the style of exercises, and tastes.
        difficulty: array of shape `(n_items,)`.
        start: array of shape `(n_users, n_skills)`, mastery before the first visit.
        now: the same after the last visit of the log.
        speed: array of shape `(n_users,)`.
        seed: the world's seed.
    """

    catalog: CatalogTruth
    difficulty: np.ndarray
    start: np.ndarray
    now: np.ndarray
    speed: np.ndarray
    seed: int

    @property
    def skills(self):
        """Each exercise's skill, position in `PREREQUISITES`: int array of shape `(n_items,)`."""
        return self.catalog.attributes["skill"].cat.codes.to_numpy().astype(np.int64)

    def utility(self, visits, slates, mastery):
        """Return how much learners want to try what they are shown.

        Args:
            visits: data frame with the columns `user` and `timestamp`, one row a visit.
            slates: int array of shape `(n, size)`, items, -1 for none.
            mastery: float array of shape `(n, n_skills)`, of each visit's learner.

        Returns:
            float64 array of shape `(n, size)`; -inf for none.
        """
        users, _, items, there = asked(visits, slates)
        ease = _soft(_STEEP * self._lead(users, items, mastery))
        total = self.catalog.affinity(users, items) + _EASE * ease + _OFFSET
        return np.where(there, total, -np.inf)

    def respond(self, visits, slates, mastery):
        """Let learners pick from lists, one exercise at most: the same one every time.

        Args:
            visits: data frame as in `utility`; its index numbers the visits, and with them moods.
            slates: int array of shape `(n, size)`, items, best first, -1 for none.
            mastery: as in `utility`.

        Returns:
            bool array of shape `(n, size)`, what is picked, and tried.
        """
        return respond(
            self.seed,
            visits.index.to_numpy(),
            slates,
            self.utility(visits, slates, mastery),
            noise=_NOISE,
            attention=_ATTENTION,
            kinds=np.zeros(len(self.difficulty), np.int64),
        )

    def success(self, learners, items, mastery):
        """Return how probably learners answer correctly.

        Args:
            learners: int array of shape `(n,)`.
            items: int array of shape `(n,)`, or `(n, m)` where each is asked about several.
            mastery: float array of shape `(n, n_skills)`.

        Returns:
            float64 array of the shape of `items`.
        """
        return 0.5 + 0.5 * _soft(_STEEP * self._lead(learners, items, mastery))

    def answer(self, visits, items, mastery):
        """Let learners answer: bool of shape `(n,)`, the same one every time.

        Args:
            visits: data frame as in `respond`.
            items: int array of shape `(n,)`, one exercise a visit.
            mastery: as in `utility`.
        """
        luck = random_uniform((self.seed, _TRY), visits.index.to_numpy(), items)
        return luck < self.success(visits["user"].to_numpy(), items, mastery)

    def practise(self, learners, items, mastery):
        """Return the mastery, of shape `(n, n_skills)`, after each learner has tried an exercise.

        Args:
            learners: int array of shape `(n,)`.
            items: int array of shape `(n,)`, or `(n, 1)`.
            mastery: float array of shape `(n, n_skills)`; it is not changed.
        """
        learners, items = np.asarray(learners), np.asarray(items).reshape(-1)
        after = np.array(mastery, float)
        after[np.arange(len(items)), self.skills[items]] += self.gain(learners, items, mastery)
        return after

    def gain(self, learners, items, mastery):
        """Return by how much trying an exercise raises the mastery of its skill, in levels.

        Args:
            learners: int array of shape `(n,)`.
            items: int array of shape `(n,)`, or `(n, m)` where each is asked about several.
            mastery: float array of shape `(n, n_skills)`.

        Returns:
            float64 array of the shape of `items`.
        """
        items = np.asarray(items)
        far = (-self._lead(learners, items, mastery) - _ZONE) / _WIDTH
        row = _rows(items)
        ready = _ready(np.asarray(mastery, float))[row, self.skills[items]]
        return self.speed[np.asarray(learners)][row] / (1.0 + far * far) * ready

    def _lead(self, learners, items, mastery):
        """Return how far mastery is above the difficulty, in levels."""
        items, mastery = np.asarray(items), np.asarray(mastery, float)
        if mastery.shape != (len(learners), len(PREREQUISITES)) or len(items) != len(learners):
            raise ValueError(
                f"Expected `mastery` of shape ({len(learners)}, {len(PREREQUISITES)}), and as "
                f"many rows of items. Received: {mastery.shape} and {items.shape}."
            )
        return mastery[_rows(items), self.skills[items]] - self.difficulty[items]

    def __repr__(self):
        return f"EducationTruth({len(self.start):,} learners, {len(self.difficulty):,} exercises)"


def _rows(items):
    """Return row numbers that broadcast to the shape of `items`, `(n,)` or `(n, m)`."""
    return np.arange(len(items)).reshape(-1, *[1] * (items.ndim - 1))


def _soft(x):
    return x / (1.0 + np.abs(x))


def _ready(mastery):
    """Return how far what each skill builds upon is there, shape `(n, n_skills)`, in (0, 1]."""
    there = 0.5 + 0.5 * _soft(4.0 * (mastery - _READY))
    ready = np.ones_like(there)
    for skill, needed in enumerate(PREREQUISITES.values()):
        for name in needed:
            ready[:, skill] = np.minimum(ready[:, skill], there[:, SKILL.values.index(name)])
    return ready


def _depth():
    """Return for each skill the longest chain of skills below it."""
    depth = {}
    for name, needed in PREREQUISITES.items():
        depth[name] = max((depth[other] + 1 for other in needed), default=0)
    return np.array([*depth.values()])


def _school(seed, people):
    return choice(2, (seed, _SCHOOL), people)


def _joined(seed, people):
    day, second = choice(30, (seed, _JOINED, 0), people), choice(DAY, (seed, _JOINED, 1), people)
    return START + day * DAY + second


def _write(seed, items):
    """Write one text an exercise; its numbers and its form say nothing of the difficulty."""
    texts, skills = [], draw_codes(seed, items, SKILL)
    bits = random_bits((seed, _WORDS), np.asarray(items)[:, None], np.arange(6)).tolist()
    for row, skill in zip(bits, skills, strict=True):
        choices = Choices(row)
        form, name = choices.pick(_TEXTS[SKILL.values[skill]]), choices.pick(_NAMES)
        a, b = 11 + choices.number(40), 60 + choices.number(40)
        text = form.format(a=a, b=b, c=3 + choices.number(7), name=name)
        texts.append(f"{text} {choices.pick(_TAILS)}".rstrip())
    return np.array(texts, dtype=object)


def _film(seed, items):
    codes = [draw_codes(seed, items, attribute) for attribute in _DEFINITIONS[1:]]
    return render_clips(seed, items, *codes)


def _world(n_items, n_users, seed):
    """Return the truth, and the year as a dict of visits, lists, picks, answers and mastery."""
    n_items, n_users, seed = checked_sizes(
        n_items=(n_items, 50, 2**31), n_users=(n_users, 1, 2**31), seed=(seed, 0, 2**31)
    )
    rows, people = np.arange(n_items), np.arange(n_users)
    school = _school(seed, people)
    codes = [draw_codes(seed, rows, attribute) for attribute in _DEFINITIONS]
    attributes = attribute_table(_DEFINITIONS, codes, numbered_ids("exercise", n_items))
    # A school says nothing of taste, and nobody prefers a skill.
    tastes = {
        attribute.name: _TASTE * draw_tastes(seed, attribute, n_users, school, region_share=0.0)
        for attribute in _DEFINITIONS[1:]
    }
    appeal = _APPEAL_SPREAD * normal((seed, _APPEAL), rows)
    start = 3.8 - 0.4 * _depth() - 1.0 * school[:, None]
    start = start + 0.7 * normal((seed, _ABILITY), people)[:, None]
    start = start + 0.5 * normal((seed, _START), people[:, None], np.arange(len(PREREQUISITES)))
    now = start.copy()
    truth = EducationTruth(
        CatalogTruth(attributes, tastes, appeal, _DEFINITIONS),
        uniform(0.5, 5.5, (seed, _DIFFICULTY), rows),
        start,
        now,
        uniform(0.2, 0.6, (seed, _SPEED), people),
        seed,
    )
    return truth, _year(truth, school, now)


def _year(truth, school, mastery):
    """Let the year go by, and change `mastery` in place."""
    seed, skills = truth.seed, truth.skills
    people = np.arange(len(school))
    usual = np.where(school == 0, 36, 18)
    share = random_uniform((seed, _VISITS), people)
    counts = np.floor(usual * (0.5 + share)).astype(np.int64)
    visits = draw_visits(seed, counts, _joined(seed, people), _END)
    number = visits.groupby("user").cumcount().to_numpy()
    unit = (visits["timestamp"].to_numpy() - START) * len(PREREQUISITES) // (_END - START)
    fame = 1.0 / (1.5 - random_uniform((seed, _FAME), np.arange(len(skills))))
    tried = np.zeros((len(school), len(skills)), bool)
    slates = np.full((len(visits), _SHOWN), -1)
    picked, correct = np.zeros(slates.shape, bool), np.zeros(len(visits), bool)
    before = np.empty((len(visits), len(PREREQUISITES)))
    for wave in range(number.max() + 1):
        now = np.flatnonzero(number == wave)  # everybody's visit of this number
        users = visits["user"].to_numpy()[now]

        def weigh(rows, now=now, users=users):
            present = skills == unit[now[rows]][:, None]
            return fame * np.where(present, _UNIT, 1.0) * ~tried[users[rows]]

        # Other luck for every wave: no world has such a large seed.
        slates[now] = draw_slates(seed + (wave << 32), len(now), weigh, _SHOWN)
        before[now] = mastery[users]
        here = visits.iloc[now]
        picked[now] = truth.respond(here, slates[now], before[now])
        who = np.flatnonzero(picked[now].any(axis=1))
        items = slates[now][who, picked[now][who].argmax(axis=1)]
        correct[now[who]] = truth.answer(here.iloc[who], items, before[now[who]])
        mastery[users[who]] = truth.practise(users[who], items, before[now[who]])
        tried[users[who], items] = True
    return {
        "visits": visits,
        "slates": slates,
        "picked": picked,
        "correct": correct,
        "before": before,
    }
