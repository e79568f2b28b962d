-- Subscriptions with all that a change of plan depends on, plan groups as merchants write them, and quotes of changes.

-- The first table of that name held only what a list shows; every row is read anew from the provider.
DROP TABLE IF EXISTS subscriptions;
CREATE TABLE subscriptions (
  -- Ours, and the only one that stands in an address.
  id text PRIMARY KEY,
  provider_subscription_id text NOT NULL UNIQUE, customer_id text NOT NULL,
  -- The order that sold it here, or the first change made here; access hangs on it.
  order_id text UNIQUE REFERENCES orders(id),
  product_id text NOT NULL, quantity {int} NOT NULL, addons_json text NOT NULL, status text NOT NULL,
  amount {int} CHECK (amount >= 0), currency text,
  tax_inclusive {int} NOT NULL CHECK (tax_inclusive IN (0,1)),
  interval_count {int}, interval_unit text, trial_days {int} NOT NULL,
  is_on_demand {int} NOT NULL CHECK (is_on_demand IN (0,1)),
  cancels_at_period_end {int} NOT NULL CHECK (cancels_at_period_end IN (0,1)),
  has_discount {int} NOT NULL CHECK (has_discount IN (0,1)),
  scheduled_json text, payment_method_id text,
  created_at {int}, previous_billing_at {int}, next_billing_at {int},
  -- A hash of all a quote depends on: a quote of another state is void.
  state_hash text NOT NULL, observed_at {int} NOT NULL
) {strict};
CREATE INDEX subscriptions_of_customer ON subscriptions(customer_id);
CREATE INDEX subscriptions_observed ON subscriptions(observed_at);

-- Subscriptions the worker is to read again, whoever found out that something happened to them.
CREATE TABLE subscriptions_to_read (
  provider_subscription_id text PRIMARY KEY, due_at {int} NOT NULL, tries {int} NOT NULL DEFAULT 0
) {strict};
CREATE INDEX subscriptions_to_read_due ON subscriptions_to_read(due_at);

CREATE TABLE plan_groups (
  id text PRIMARY KEY, version {int} NOT NULL, definition_json text NOT NULL, changed_at {int} NOT NULL
) {strict};

-- A buyer's own change of plan is an offer instance too: the same claim, acceptance and attempt charge it.
ALTER TABLE offer_instances ADD COLUMN kind text NOT NULL DEFAULT 'one_time' CHECK (kind IN ('one_time','plan_change'));
-- The other way to make the same change (now, or at the renewal), shown beside it.
ALTER TABLE offer_instances ADD COLUMN alternative_id text;
-- It follows no offer of the merchant, so it names this one; no merchant's id begins with an @.
INSERT INTO offers (id, live_version, state, changed_at) VALUES ('@plan_change', 0, 'live', 0);
