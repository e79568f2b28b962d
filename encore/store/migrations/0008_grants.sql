-- Trials sold in the shop, and what the provider itself has granted: entitlement grants and licence keys.

-- What a trial costs; 0 is a free one.
ALTER TABLE products ADD COLUMN trial_minor {int} NOT NULL DEFAULT 0 CHECK (trial_minor >= 0);
-- A free trial may have no payment: the method and the address that its subscription began with stand in for those of
-- the payment. Written once, when the trial is first seen: a method given to the subscription later is not this buyer's.
ALTER TABLE checkouts ADD COLUMN begun_method_id text;
ALTER TABLE checkouts ADD COLUMN begun_billing_json text;

-- What the provider granted for a payment or a subscription, as last read: its entitlement grants and licence keys.
-- `kind` and `status` are its words (digital_files, license_key ..; delivered, active ..) in small letters.
CREATE TABLE grants (
  id text PRIMARY KEY, customer_id text NOT NULL, payment_id text, subscription_id text, product_id text,
  kind text NOT NULL, status text NOT NULL, reason text,
  license_key text, activations {int}, activations_limit {int}, expires_at {int},
  created_at {int} NOT NULL, changed_at {int} NOT NULL
) {strict};
CREATE INDEX grants_of_customer ON grants(customer_id);
-- When a customer's grants were last asked for and read in full, so that no older answer replaces a newer one.
CREATE TABLE grant_reads (customer_id text PRIMARY KEY, asked_at {int} NOT NULL) {strict};
