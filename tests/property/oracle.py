"""What the rules of simulate.c must have said, from the raw events alone.

Each rule is a function of what is known at an instant, written from the design
and not from the program: windows are (t - d, t], an age is compared to the
millisecond, what was refunded or cancelled is looked up again each time. After
every event all rules are asked; between events, at every instant at which
something leaves a window or reaches an age, those that it concerns.

    oracle.py <events.ndjson> <transitions.ndjson>
"""

import collections
import decimal
import json
import multiprocessing
import sys

SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NEVER = 1 << 62

ACTS = {"view", "cart", "order", "open", "click", "interests", "consent"}


class Known:
    """What is known of one customer: facts by kind, each in order of time."""

    def __init__(self):
        self.first_seen = NEVER
        self.last_seen = None
        self.views = []    # (at, category, price)
        self.opens = []
        self.clicks = []
        self.quizzes = []  # (at, score)
        self.carts = []    # (at, items; None: emptied by an order)
        self.latest = {}   # of interests, consent, city: (at, value)
        self.orders = {}   # number -> [at, total, coupon]
        self.refunds = collections.Counter()
        self.cancelled = set()

    def learn(self, event):
        kind, at = event["type"], event["at"]
        self.first_seen = min(self.first_seen, at)
        if kind in ACTS:
            self.last_seen = at if self.last_seen is None else max(self.last_seen, at)
        if kind == "view":
            insert(self.views, (at, event["category"], event["price"]))
        elif kind == "open":
            insert(self.opens, at)
        elif kind == "click":
            insert(self.clicks, at)
        elif kind == "quiz":
            insert(self.quizzes, (at, event["score"]))
        elif kind == "cart":
            insert(self.carts, (at, event["items"]))
        elif kind == "order":
            self.orders[event["order"]] = (at, event["total"], event["coupon"])
            insert(self.carts, (at, None))
        elif kind == "refund":
            self.refunds[event["order"]] += event["amount"]
        elif kind == "cancel":
            self.cancelled.add(event["order"])
        elif kind in ("interests", "consent", "city"):
            if kind not in self.latest or self.latest[kind][0] < at:
                self.latest[kind] = (at, event["value"])
        if kind in ("order", "refund", "cancel"):
            # (at, total, refunded, coupon), oldest first
            self.counted = sorted(
                (at, total, min(self.refunds[number], total), coupon)
                for number, (at, total, coupon) in self.orders.items()
                if number not in self.cancelled)

    counted = ()

    def value(self, kind):
        return self.latest[kind][1] if kind in self.latest else None


def insert(facts, fact):
    """Facts mostly come in order."""
    position = len(facts)
    while position > 0 and facts[position - 1] > fact:
        position -= 1
    facts.insert(position, fact)


def views_within(k, t, duration):
    found = []
    for view in reversed(k.views):
        if view[0] <= t - duration:
            break
        found.append(view)
    return found


# --- engagement: 2^(-age / 14 d), tabled each 90 minutes, straight between -----

HALF_LIFE = 14 * DAY
STEP = HALF_LIFE // 224
decimal.getcontext().prec = 60
DECAY = [int((decimal.Decimal(2) ** (decimal.Decimal(-i) / 224) * 10 ** 12)
             .to_integral_value(decimal.ROUND_HALF_UP)) for i in range(225)]


def share(points, age):
    halves, into = divmod(age, HALF_LIFE)
    step, beyond = divmod(into, STEP)
    decay = DECAY[step] - (DECAY[step] - DECAY[step + 1]) * beyond // STEP
    return (points * (decay >> halves) + 500_000) // 1_000_000


def score(k, t):
    newest = sorted([(at, 1) for at in k.opens] + [(at, 3) for at in k.clicks])[-64:]
    return sum(share(points, t - at) for at, points in newest)


# --- the rules: value, or None when nothing holds ------------------------------

def lifecycle(k, t, said):
    if k.last_seen is not None and t - k.last_seen > 60 * DAY:
        return "churned"
    if k.last_seen is not None and t - k.last_seen > 20 * DAY:
        return "lapsed"
    if t - k.first_seen < 14 * DAY and len(k.counted) < 2:
        return "new"
    return "active"


def spend(k, t, said):
    total = sum(order[1] for order in k.counted if order[0] > t - 30 * DAY)
    if total > 300_00:
        return "high"
    if total > 100_00:
        return "mid"
    return "low" if k.counted else None


def frequent_buyer(k, t, said):
    return sum(order[0] > t - 30 * DAY for order in k.counted) >= 3


def abandoned_cart(k, t, said):
    if not k.carts:
        return False
    at, items = k.carts[-1]
    return bool(items) and HOUR <= t - at < 7 * DAY


def three_shoes(k, t, said):
    return sum(view[1] == "Shoes" for view in views_within(k, t, DAY)) >= 3


def three_of_any(k, t, said):
    counts = collections.Counter(view[1] for view in views_within(k, t, DAY))
    return any(count >= 3 for count in counts.values())


def fourth_order(k, t, said):
    return len(k.counted) == 4


def net_spender(k, t, said):
    return sum(total - refunded for _, total, refunded, _ in k.counted) >= 250_00


def average(amounts):
    """In minor units, halves up, as everybody is shown it."""
    amounts = list(amounts)
    return (2 * sum(amounts) + len(amounts)) // (2 * len(amounts))


def premium(k, t, said):
    return (bool(k.counted) and t - k.counted[-1][0] <= 10 * DAY
            and "premium" in (k.value("interests") or [])
            and average(order[1] for order in k.counted) >= 80_00)


def win_back(k, t, said):
    return (said["lifecycle"] == "lapsed" and said["spend"] is not None
            and k.value("consent") == "subscribed")


def reader(k, t, said):
    return (sum(at > t - 15 * DAY for at in k.opens) >= 3
            and not any(at > t - 15 * DAY for at in k.clicks))


def engaged(k, t, said):
    return score(k, t) >= 3_000_000


def browsing(k, t, said):
    return len({view[1] for view in views_within(k, t, 3 * DAY)}) >= 3


def dear_things(k, t, said):
    return any(view[2] > 110 for view in views_within(k, t, 5 * DAY))


def cheap_things(k, t, said):
    prices = [view[2] for view in views_within(k, t, 5 * DAY)]
    return bool(prices) and sum(prices) < 40 * len(prices)


def back_again(k, t, said):
    if not k.counted:
        return False
    last = k.counted[-1][0]
    return sum(view[0] > last for view in views_within(k, t, 10 * DAY)) >= 2


def not_paris(k, t, said):
    return any(points >= 8 for _, points in k.quizzes) and k.value("city") != "Paris"


def coupons(k, t, said):
    return len(k.counted) >= 2 and sum(order[3] for order in k.counted) * 2 >= len(k.counted)


def best(k, t, said):
    return bool(said["frequent_buyer"]) and said["lifecycle"] == "active"


def hats(k, t, said):
    return bool(k.views) and k.views[-1][1] == "Hats"


def small_orders(k, t, said):
    return any(order[1] < 30_00 for order in k.counted if order[0] > t - 40 * DAY)


RULES = [lifecycle, spend, frequent_buyer, abandoned_cart, three_shoes, three_of_any, fourth_order,
         net_spender, premium, win_back, reader, engaged, browsing, dear_things, cheap_things,
         back_again, not_paris, coupons, best, hats, small_orders]
USES = {lifecycle: [win_back, best], spend: [win_back], frequent_buyer: [best]}
ORDER = {rule: position for position, rule in enumerate(RULES)}


# --- when time alone may change something ----------------------------------------

def turns(k, t, until):
    """(instant, rule) in (t, until] at which the rule is to be asked again."""
    found = []

    def at(instant, *rules):
        if t < instant <= until:
            found.extend((instant, ORDER[rule]) for rule in rules)

    if k.last_seen is not None:
        at(k.last_seen + 20 * DAY + 1, lifecycle)
        at(k.last_seen + 60 * DAY + 1, lifecycle)
    at(k.first_seen + 14 * DAY, lifecycle)
    for order in k.counted:
        at(order[0] + 30 * DAY, spend, frequent_buyer)
        at(order[0] + 40 * DAY, small_orders)
    if k.counted:
        at(k.counted[-1][0] + 10 * DAY + 1, premium)
    if k.carts:
        at(k.carts[-1][0] + HOUR, abandoned_cart)
        at(k.carts[-1][0] + 7 * DAY, abandoned_cart)
    for view in views_within(k, t, 10 * DAY):
        at(view[0] + DAY, three_shoes, three_of_any)
        at(view[0] + 3 * DAY, browsing)
        at(view[0] + 5 * DAY, dear_things, cheap_things)
        at(view[0] + 10 * DAY, back_again)
    for mail in k.opens + k.clicks:
        at(mail + 15 * DAY, reader)
    if engaged(k, t, None):
        low, high = t, max(t, *k.opens, *k.clicks) + 60 * DAY
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if engaged(k, middle, None) else (low, middle)
        at(high, engaged)
    found.sort()
    return found


class Customer:
    def __init__(self, number):
        self.number = number
        self.known = Known()
        self.said = {}
        self.since = {}
        self.log = []

    def ask(self, rules, t, true_at, cause):
        """`rules`: positions, ascending; those that use a changed one follow."""
        waiting = set(rules)
        while waiting:
            position = min(waiting)
            waiting.discard(position)
            rule = RULES[position]
            name = rule.__name__
            value = rule(self.known, t, self.said)
            value = "in" if value is True else value or None
            before = self.said.get(name)
            self.said[name] = value
            if value == before:
                continue
            at = true_at if before is None else max(true_at, self.since[name])
            self.log.append((self.number, name, before, value, at, cause, t))
            self.since[name] = at
            waiting.update(ORDER[user] for user in USES.get(rule, ()))

    def live(self, events):
        everything = range(len(RULES))
        for position, event in enumerate(events):
            now = event["received"]
            self.known.learn(event)
            self.ask(everything, now, event["at"], "event")
            until = events[position + 1]["received"] if position + 1 < len(events) else NEVER
            found = turns(self.known, now, until)
            index = 0
            while index < len(found):
                instant = found[index][0]
                rules = []
                while index < len(found) and found[index][0] == instant:
                    rules.append(found[index][1])
                    index += 1
                self.ask(rules, instant, instant, "time")
        return self.log


def run(batch):
    found = []
    for number, events in batch:
        found.extend(Customer(number).live(events))
    return found


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def expected(events):
    customers = collections.defaultdict(list)
    for event in events:
        customers[event["c"]].append(event)
    batches = [[] for _ in range(16)]
    for position, item in enumerate(sorted(customers.items())):
        batches[position % 16].append(item)
    with multiprocessing.Pool(2) as pool:
        return [row for rows in pool.map(run, batches, chunksize=1) for row in rows]


def compare(events_path, transitions_path):
    """What the oracle has and the engine has not, and the other way round."""
    wanted = expected(read(events_path))
    rows = read(transitions_path)
    got = collections.Counter((row["c"], row["rule"], row["from"], row["to"], row["at"],
                               row["cause"]) for row in rows)
    missing = []
    told = {}  # (customer, rule) -> of a transition that was told as of later: at, as of
    for row in wanted:
        *key, decided = row
        at, later = told.get((key[0], key[1]), (None, None))
        # A profile that asked for its history when an order went says so as of then,
        # and what ends it cannot have ended before.
        forms = [tuple(key), (*key[:4], later, key[5]) if key[4] == at else None,
                 (*key[:4], decided, "rule") if key[5] == "event" else None]
        form = next((form for form in forms if form and got[form] > 0), None)
        if form is None:
            missing.append(tuple(key))
            continue
        got[form] -= 1
        if form[5] == "rule":
            told[key[0], key[1]] = (key[4], decided)
    surplus = [key for key, count in got.items() for _ in range(count)]
    return len(wanted), sorted(missing), sorted(surplus, key=str)


def main():
    count, missing, surplus = compare(sys.argv[1], sys.argv[2])
    for name, rows in (("only the oracle", missing), ("only the engine", surplus)):
        for row in rows[:20]:
            print(f"{name}: {row}")
    print(f"{count} transitions, {len(missing)} missing, {len(surplus)} too many")
    return 1 if missing or surplus else 0


if __name__ == "__main__":
    sys.exit(main())
