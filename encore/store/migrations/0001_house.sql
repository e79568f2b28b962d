-- The whole first schema. The two words in braces become INTEGER and STRICT on SQLite (BIGINT and nothing on PostgreSQL).
-- Times are epoch milliseconds, amounts minor units of the row's currency. The constraints carry the charge protocol:
-- each named index below refuses one way of charging twice.

CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL) {strict};

-- The catalogue: our read-only copy of the provider's products.
CREATE TABLE products (
  id text PRIMARY KEY, slug text NOT NULL UNIQUE, position {int} NOT NULL,
  name text NOT NULL, description text NOT NULL, image_url text,
  price_minor {int} NOT NULL CHECK (price_minor >= 0), currency text NOT NULL,
  tax_inclusive {int} NOT NULL CHECK (tax_inclusive IN (0,1)),
  is_recurring {int} NOT NULL CHECK (is_recurring IN (0,1)),
  interval_count {int}, interval_unit text, trial_days {int} NOT NULL DEFAULT 0,
  pay_what_you_want {int} NOT NULL DEFAULT 0 CHECK (pay_what_you_want IN (0,1)),
  archived_at {int}, synced_at {int} NOT NULL
) {strict};

CREATE TABLE customers (
  id text PRIMARY KEY, email text, name text, language text, first_seen_at {int} NOT NULL
) {strict};

-- One hosted session of the shop. `ref` is the 256-bit return reference: a name, never authority without the cookie.
CREATE TABLE checkouts (
  id text PRIMARY KEY, ref text NOT NULL UNIQUE, buyer_key text NOT NULL,
  product_id text NOT NULL REFERENCES products(id), quantity {int} NOT NULL CHECK (quantity > 0),
  language text NOT NULL,
  state text NOT NULL CHECK (state IN ('opening','open','paid','closed')),
  provider_session_id text UNIQUE, checkout_url text, subscription_id text UNIQUE,
  customer_id text, payment_id text, payment_status text, decline_code text,
  created_at {int} NOT NULL, authority_until {int} NOT NULL, looked_at {int}, next_check_at {int}
) {strict};
CREATE INDEX checkouts_due ON checkouts(next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX checkouts_of_buyer ON checkouts(buyer_key, product_id);

CREATE TABLE offers (
  id text PRIMARY KEY, live_version {int} NOT NULL,
  state text NOT NULL CHECK (state IN ('live','paused','ended')), changed_at {int} NOT NULL
) {strict};
CREATE TABLE offer_versions (
  offer_id text NOT NULL REFERENCES offers(id), version {int} NOT NULL, definition_json text NOT NULL,
  product_id text NOT NULL, published_at {int} NOT NULL, PRIMARY KEY (offer_id, version)
) {strict};
CREATE TABLE funnels (
  id text PRIMARY KEY, live_version {int} NOT NULL, priority {int} NOT NULL,
  state text NOT NULL CHECK (state IN ('live','paused','ended')), changed_at {int} NOT NULL
) {strict};
CREATE TABLE funnel_versions (
  funnel_id text NOT NULL REFERENCES funnels(id), version {int} NOT NULL, definition_json text NOT NULL,
  published_at {int} NOT NULL, PRIMARY KEY (funnel_id, version)
) {strict};

CREATE TABLE offer_instances (
  id text PRIMARY KEY,
  offer_id text NOT NULL REFERENCES offers(id), offer_version {int} NOT NULL,
  funnel_id text NOT NULL, funnel_version {int} NOT NULL, step_key text NOT NULL,
  placement text NOT NULL, source_ref text NOT NULL, buyer_key text NOT NULL, customer_id text NOT NULL,
  product_id text NOT NULL, language text NOT NULL,
  quote_json text NOT NULL, quote_hash text NOT NULL, moved_from_json text, no_method_reason text,
  created_at {int} NOT NULL, expires_at {int} NOT NULL, answered_at {int},
  state text NOT NULL CHECK (state IN ('shown','accepted','declined','expired')),
  UNIQUE (source_ref, offer_id)
) {strict};
CREATE INDEX offer_instances_of_customer ON offer_instances(customer_id);
CREATE INDEX offer_instances_open ON offer_instances(expires_at) WHERE state = 'shown';

CREATE TABLE acceptances (
  id text PRIMARY KEY, consent_json text NOT NULL,
  offer_instance_id text NOT NULL UNIQUE REFERENCES offer_instances(id),
  customer_id text NOT NULL, product_id text NOT NULL, quantity {int} NOT NULL CHECK (quantity > 0),
  amount {int} CHECK (amount >= 0), currency text, undo_at {int},
  created_at {int} NOT NULL, closed_at {int}, close_reason text,
  outcome text NOT NULL CHECK (outcome IN ('open','needs_checkout','charged','refunded','closed')),
  CHECK ((amount IS NULL) = (currency IS NULL))
) {strict};
-- One open yes a customer and product, whatever the tab, order or placement.
CREATE UNIQUE INDEX one_open_yes ON acceptances(customer_id, product_id) WHERE outcome IN ('open','needs_checkout');

CREATE TABLE attempts (
  id text PRIMARY KEY,
  acceptance_id text NOT NULL REFERENCES acceptances(id), subscription_id text,
  kind text NOT NULL CHECK (kind IN ('one_click','plan_change','dues','hosted')),
  state text NOT NULL CHECK (state IN ('queued','sending','unknown','pending','action_required','opening',
    'hosted_open','paid','unwanted','failed','rejected','absent','not_sent','dropped','hosted_closed')),
  post_count {int} NOT NULL DEFAULT 0 CHECK (post_count IN (0,1) OR kind = 'hosted'),
  sender_id text, claimed_at {int}, socket_closed_at {int}, reason text, decline_code text,
  provider_session_id text UNIQUE, provider_payment_id text UNIQUE, checkout_url text,
  restore_cancel {int} NOT NULL DEFAULT 0 CHECK (restore_cancel IN (0,1)),
  looks {int} NOT NULL DEFAULT 0, clean_misses {int} NOT NULL DEFAULT 0, quiet_ms {int} NOT NULL DEFAULT 0,
  webhook_named_at {int}, next_check_at {int}, lease_until {int},
  created_at {int} NOT NULL, changed_at {int} NOT NULL,
  CHECK ((kind IN ('plan_change','dues')) = (subscription_id IS NOT NULL)),
  CHECK (kind = 'hosted' OR post_count = 1
    OR state NOT IN ('sending','unknown','pending','action_required','paid'))
) {strict};
CREATE UNIQUE INDEX one_charging_request ON attempts(acceptance_id) WHERE kind <> 'hosted';
CREATE UNIQUE INDEX one_live_attempt ON attempts(acceptance_id) WHERE state IN
  ('queued','sending','unknown','pending','action_required','opening','hosted_open');
CREATE UNIQUE INDEX one_paid_attempt ON attempts(acceptance_id) WHERE state = 'paid';
CREATE UNIQUE INDEX one_subscription_charge ON attempts(subscription_id)
  WHERE state IN ('queued','sending','unknown','pending','action_required');
CREATE INDEX attempts_due ON attempts(next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX attempts_recent ON attempts(claimed_at);

CREATE TABLE payments (
  id text PRIMARY KEY, attempt_id text REFERENCES attempts(id),
  acceptance_id text REFERENCES acceptances(id), checkout_id text REFERENCES checkouts(id),
  customer_id text NOT NULL, charge_type text, provider_session_id text,
  status text NOT NULL, amount {int} NOT NULL CHECK (amount >= 0), currency text NOT NULL,
  tax {int}, decline_code text, payment_link text, method_json text, billing_json text,
  created_at {int} NOT NULL, observed_at {int} NOT NULL,
  refund_reserved {int} NOT NULL DEFAULT 0 CHECK (refund_reserved BETWEEN 0 AND amount),
  refunded {int} NOT NULL DEFAULT 0, disputed_at {int}, dispute_status text,
  disposition text NOT NULL CHECK (disposition IN ('seen','kept','returned','renewal','manual'))
) {strict};
CREATE UNIQUE INDEX one_kept_payment ON payments(acceptance_id) WHERE disposition = 'kept';
CREATE INDEX payments_of_customer ON payments(customer_id, created_at);
CREATE INDEX payments_disputed ON payments(dispute_status) WHERE dispute_status IS NOT NULL;

CREATE TABLE orders (
  id text PRIMARY KEY, number {int} NOT NULL UNIQUE,
  checkout_id text UNIQUE REFERENCES checkouts(id), acceptance_id text UNIQUE REFERENCES acceptances(id),
  attempt_id text UNIQUE REFERENCES attempts(id), payment_id text UNIQUE REFERENCES payments(id),
  first_order_id text REFERENCES orders(id), customer_id text NOT NULL, buyer_key text NOT NULL,
  product_id text NOT NULL, product_name text NOT NULL, quantity {int} NOT NULL,
  amount {int} NOT NULL CHECK (amount >= 0), currency text NOT NULL, language text NOT NULL,
  country text, created_at {int} NOT NULL,
  state text NOT NULL CHECK (state IN ('granted','reversed')),
  CHECK ((checkout_id IS NULL) <> (acceptance_id IS NULL))
) {strict};
CREATE INDEX orders_of_customer ON orders(customer_id);

CREATE TABLE entitlements (
  order_id text NOT NULL REFERENCES orders(id), product_id text NOT NULL, customer_id text NOT NULL,
  granted_at {int} NOT NULL, revoked_at {int}, PRIMARY KEY (order_id, product_id)
) {strict};
CREATE INDEX entitlements_of_customer ON entitlements(customer_id, product_id);

CREATE TABLE refunds (
  id text PRIMARY KEY, payment_id text NOT NULL REFERENCES payments(id),
  is_full {int} NOT NULL CHECK (is_full IN (0,1)), amount {int} NOT NULL CHECK (amount > 0), reason text NOT NULL,
  state text NOT NULL CHECK (state IN ('due','sending','unknown','pending','done','failed','manual')),
  post_count {int} NOT NULL DEFAULT 0, provider_refund_id text UNIQUE,
  tries {int} NOT NULL DEFAULT 0, next_try_at {int}, lease_until {int}, created_at {int} NOT NULL, changed_at {int} NOT NULL,
  CHECK (is_full = 1 OR post_count <= 1)
) {strict};
CREATE INDEX refunds_of_payment ON refunds(payment_id);
CREATE UNIQUE INDEX one_full_refund ON refunds(payment_id) WHERE is_full = 1 AND reason <> 'external';
CREATE UNIQUE INDEX one_live_refund ON refunds(payment_id) WHERE reason <> 'external'
  AND state IN ('due','sending','unknown','pending');

-- The inbox: a verified delivery is stored before its 2xx.
CREATE TABLE webhook_events (
  webhook_id text NOT NULL, body_sha256 text NOT NULL, body text, event_type text NOT NULL,
  state text NOT NULL CHECK (state IN ('received','done','dead')), note text,
  tries {int} NOT NULL DEFAULT 0, next_try_at {int}, lease_until {int},
  received_at {int} NOT NULL, processed_at {int}, PRIMARY KEY (webhook_id, body_sha256)
) {strict};
CREATE INDEX webhook_events_due ON webhook_events(next_try_at) WHERE state = 'received';

CREATE TABLE outbox (
  id text PRIMARY KEY, kind text NOT NULL, dedup_key text NOT NULL UNIQUE, recipient text NOT NULL,
  language text NOT NULL, payload_json text NOT NULL,
  state text NOT NULL CHECK (state IN ('ready','sending','sent','dead')),
  tries {int} NOT NULL DEFAULT 0, sends {int} NOT NULL DEFAULT 0, interrupted {int} NOT NULL DEFAULT 0,
  next_try_at {int}, lease_until {int}, created_at {int} NOT NULL, sent_at {int}
) {strict};
CREATE INDEX outbox_due ON outbox(next_try_at) WHERE state IN ('ready','sending');

CREATE TABLE ledger (
  seq {int} PRIMARY KEY, entry_json text NOT NULL, at {int} NOT NULL,
  prev_hash text NOT NULL UNIQUE, hash text NOT NULL UNIQUE
) {strict};

CREATE TABLE suppressions (
  customer_id text NOT NULL, product_id text NOT NULL, offer_id text NOT NULL, offer_instance_id text NOT NULL,
  created_at {int} NOT NULL, PRIMARY KEY (customer_id, product_id)
) {strict};

CREATE TABLE spend (
  customer_id text NOT NULL, day {int} NOT NULL, currency text NOT NULL,
  charges {int} NOT NULL, amount {int} NOT NULL, PRIMARY KEY (customer_id, day, currency)
) {strict};

-- One row: the provider's call budget, spent by web and worker alike. Tokens are thousandths of a call.
CREATE TABLE rate_budget (
  id {int} PRIMARY KEY CHECK (id = 1), tokens_milli {int} NOT NULL, refilled_at {int} NOT NULL, blocked_until {int} NOT NULL
) {strict};

CREATE TABLE processes (
  id text PRIMARY KEY, kind text NOT NULL CHECK (kind IN ('web','worker')), host text NOT NULL,
  boot_id text NOT NULL, pid {int} NOT NULL, started_at {int} NOT NULL, heartbeat_at {int} NOT NULL
) {strict};

CREATE TABLE alarms (
  kind text NOT NULL, object text NOT NULL, detail text NOT NULL, raised_at {int} NOT NULL, cleared_at {int},
  PRIMARY KEY (kind, object)
) {strict};

-- Why an offer was shown or not: one row a funnel considered for an order.
CREATE TABLE decisions (
  order_id text NOT NULL, funnel_id text NOT NULL, step_key text NOT NULL, is_eligible {int} NOT NULL CHECK (is_eligible IN (0,1)),
  reasons_json text NOT NULL, created_at {int} NOT NULL, PRIMARY KEY (order_id, funnel_id, step_key)
) {strict};
-- What happened to an offer, once each: shown, accepted, declined, failed, unknown, paid, refunded, disputed.
CREATE TABLE offer_events (
  offer_instance_id text NOT NULL, kind text NOT NULL, created_at {int} NOT NULL, PRIMARY KEY (offer_instance_id, kind)
) {strict};

-- What the worker fetched ahead of the buyer, good for 60 s; a page that finds it makes no provider call.
CREATE TABLE saved_methods (
  customer_id text PRIMARY KEY, methods_json text NOT NULL, read_at {int} NOT NULL
) {strict};
CREATE TABLE prepared_quotes (
  order_id text NOT NULL, offer_id text NOT NULL, offer_version {int} NOT NULL, quote_json text NOT NULL,
  previewed_at {int} NOT NULL, PRIMARY KEY (order_id, offer_id)
) {strict};
