"""What is wrong with an offer, a funnel or a plan group, in words for the person who wrote the file."""

from encore.rules.funnels import PLACEMENTS, TRIGGERS
from encore.rules.kinds import EXPIRY_MIN, LANGUAGES, MAX_QUANTITY, ROLES, Fault
from encore.rules.plan_changes import MODES
from encore.rules.plan_groups import MOST_PLANS

_LANGUAGES = " and ".join(LANGUAGES)
_SENTENCES = {
    "fault.not_toml": "not TOML: {detail}",
    "fault.nothing_in_it": "there is no [[offers]], no [[funnels]] and no [[plan_groups]] in it",
    "fault.tables_expected": "write it as [[offers]], [[funnels]] or [[plan_groups]]",
    "fault.unknown_field": "there is no such field",
    "fault.field_missing": "is missing",
    "fault.id_missing": "an id is missing",
    "fault.bad_id": "an id is small letters, digits, - and _, at most 60",
    "fault.id_twice": "the id stands twice in the file",
    "fault.unknown_kind": "there is no kind {kind}",
    "fault.text_expected": "write a text of at most 500 characters",
    "fault.flag_expected": "write true or false",
    "fault.number_expected": (
        f"not a number that is allowed here (quantity 1 to {MAX_QUANTITY}, minutes {EXPIRY_MIN[0]} to {EXPIRY_MIN[1]})"
    ),
    "fault.word_not_allowed": (
        f"not a word that is allowed here (roles: {', '.join(ROLES)}; modes: {', '.join(MODES)};"
        f" triggers: {', '.join(TRIGGERS)}; placements: {', '.join(PLACEMENTS)})"
    ),
    "fault.words_expected": f"write the words per language: {_LANGUAGES}",
    "fault.words_missing": "offer {offer} has words without {language}",
    "fault.points_expected": (
        "write points as a list (at most six for an offer, twenty for a plan), each with its words per language"
    ),
    "fault.moment_expected": "write a date with time and zone, such as 2026-12-24T18:00:00+07:00",
    "fault.deadline_past": "lies in the past",
    "fault.unknown_product": "the catalogue has no product {product}: run dodo sync, or write its id or address name",
    "fault.product_archived": "product {product} is no longer sold",
    "fault.product_recurring": "product {product} is a subscription: kind one_time sells things bought once",
    "fault.product_once": "product {product} is bought once: a plan is a subscription",
    "fault.plans_expected": f"write 2 to {MOST_PLANS} [[plan_groups.plans]], each with its product",
    "fault.plan_twice": "a plan stands twice in the group",
    "fault.plan_elsewhere": "product {product} is a plan of group {group} already",
    "fault.not_a_plan": "product {product} is in no [[plan_groups]]: a plan change leads from one plan to another",
    "fault.lowest_plan": "product {product} is the lowest plan of group {group}: nobody can move up to it",
    "fault.mode_at_renewal": "the provider takes {only} only for a change at the renewal, not {mode}",
    "fault.plan_declined": "offers {product} again to whoever has just declined it in {declined}",
    "fault.plan_placement": "plan {product} is offered on the return page only, not at {placement}",
    "fault.plan_not_above": "plan {product} is not above {bought}, which the rules are about: it would never be shown",
    "fault.product_without_price": "product {product} has no fixed price: the buyer would have to name one",
    "fault.discount_refused": "the provider refuses code {code}: {reason}",
    "fault.condition_expected": "a condition is {{field, operator, value}}",
    "fault.unknown_condition": "there is no such condition",
    "fault.unknown_operator": "the field does not take this operator",
    "fault.list_expected": "write a list of texts",
    "fault.percent_expected": "write a number from 0 to 100",
    "fault.money_expected": 'write {{minor = 4900, currency = "USD"}}',
    "fault.date_expected": "write a date, such as 2026-12-24",
    "fault.groups_expected": "rules are a list of groups, a group a list of conditions",
    "fault.steps_expected": "write at least one [[funnels.steps]] with key and offer",
    "fault.step_key_twice": "the step's key stands twice, or is thanks",
    "fault.dead_end": "{edge} leads to {target}, which is no step",
    "fault.unreachable": "no answer leads to this step",
    "fault.loop": "a buyer could come back to this step",
    "fault.beyond_page_cap": "page_cap is {cap}: no buyer would see this step",
    "fault.trigger_elsewhere": "trigger {trigger} does not go with placement {placement}: write {right}, or nothing",
    "fault.edge_from_card": "nothing follows a card on the account page: leave accepted, declined and failed out",
    "fault.role_not_cross_sell": "offer {offer} has role {role}: the account page shows offers of role cross_sell",
    "fault.quantity_of_card": (
        "offer {offer} has a quantity of its own: on the account page the buyer chooses it, from 1 up to max_quantity"
    ),
    "fault.never_recommended": (
        "rules let in only owners of {product}, who are not shown offer {offer}: buy_again = true if that is meant"
    ),
    "fault.before_first_order": "whoever has an account has ordered: nobody would match",
    "fault.unknown_offer": "there is no offer {offer}",
    "fault.price_unknown": "the price is not known, so nobody can say that it is lower than {declined}'s",
    "fault.downsell_not_cheaper": (
        "does not cost less than {declined}, after which it comes: dearer_confirmed = true if that is meant"
    ),
    "fault.currency_mixed": "there are several currencies ({currencies}) in it: an order or a subscription has one",
    "fault.currency_never": "offers cost {offered}, but what is bought costs {bought}: it would never be shown",
}


def sentence(fault: Fault) -> str:
    """Return a fault in words; a key without words, which a test forbids, stands for itself."""
    return _SENTENCES.get(fault.key, fault.key).format(**dict(fault.values))
