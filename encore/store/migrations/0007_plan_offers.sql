-- The ids of the customer's saved methods when this browser left to give the subscription another card: one that is not
-- among them was given by whoever holds it. NULL: it never left.
ALTER TABLE offer_instances ADD COLUMN methods_before_json text;
