-- Accounts: a buyer proves an e-mail address by a link that works once; the browser then has the account of that address.

-- One row a request for a link, of known and unknown addresses alike. The link itself is signed, not stored.
-- `address` is what was typed, in small letters; `network` a keyed hash of where the request came from.
-- `expires_at` is NULL for a request that no message went out for: nothing opens it.
CREATE TABLE sign_in_links (
  id text PRIMARY KEY, address text NOT NULL, network text NOT NULL, language text NOT NULL, leads_to text NOT NULL,
  asked_at {int} NOT NULL, handled_at {int}, expires_at {int}, used_at {int},
  CHECK (expires_at IS NULL OR handled_at IS NOT NULL),
  CHECK (used_at IS NULL OR expires_at IS NOT NULL)
) {strict};
CREATE INDEX sign_in_links_waiting ON sign_in_links(asked_at) WHERE handled_at IS NULL;
CREATE INDEX sign_in_links_of_address ON sign_in_links(address, asked_at);
CREATE INDEX sign_in_links_of_network ON sign_in_links(network, asked_at);
CREATE INDEX sign_in_links_by_age ON sign_in_links(asked_at);

-- Account authority: the row is it, the cookie only names it. One link, one row.
CREATE TABLE sign_ins (
  buyer_key text PRIMARY KEY, address text NOT NULL, link_id text NOT NULL UNIQUE,
  signed_in_at {int} NOT NULL, seen_at {int} NOT NULL
) {strict};
CREATE INDEX sign_ins_by_age ON sign_ins(signed_in_at);

CREATE INDEX customers_of_address ON customers(lower(email));
-- Pages of orders: the newest twenty of a customer are twenty steps in this index, whatever lies behind them.
CREATE INDEX orders_of_customer_by_number ON orders(customer_id, number);

-- The provider's subscriptions as last read.
CREATE TABLE subscriptions (
  id text PRIMARY KEY, customer_id text NOT NULL, product_id text NOT NULL, status text NOT NULL,
  quantity {int} NOT NULL, amount {int} CHECK (amount >= 0), currency text,
  interval_count {int}, interval_unit text, next_billing_at {int},
  cancels_at_period_end {int} NOT NULL CHECK (cancels_at_period_end IN (0,1)),
  payment_method_id text, created_at {int}, observed_at {int} NOT NULL
) {strict};
CREATE INDEX subscriptions_of_customer ON subscriptions(customer_id);
-- When a customer's subscriptions were last read in full: no row of theirs is not "none".
CREATE TABLE subscription_reads (customer_id text PRIMARY KEY, read_at {int} NOT NULL) {strict};
