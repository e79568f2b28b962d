-- The saved method a signed-in buyer chose for an offer; NULL: the one that paid the order.
ALTER TABLE offer_instances ADD COLUMN chosen_method_id text;
