-- A recommendation in an account follows this order of the customer, and its source_ref names the occasion: UNIQUE
-- (source_ref, offer_id) is then one live instance of an offer a customer. NULL: source_ref is the order itself.
ALTER TABLE offer_instances ADD COLUMN order_id text REFERENCES orders(id);
