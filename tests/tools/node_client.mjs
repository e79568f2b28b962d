// Drives a truthful sandbox with the official Node SDK and prints one line of JSON for each scenario.
// Run by node_client.py, which installs the SDK next to a copy of this file and gives SANDBOX_URL.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import DodoPayments from 'dodopayments';

const url = process.env.SANDBOX_URL;
const SECRET = 'whsec_' + Buffer.from('the secret of the node scenarios').toString('base64');
const COURSE = 'pdt_StarterCourse000000001';
const TEMPLATES = 'pdt_DesignTemplates0000003';
const BASIC = 'pdt_BasicPlan0000000000004';
const ADDRESS = { country: 'US', zipcode: '10001' };
const DELIVERY_LIMIT_MS = 10_000;

// No retries: by default the SDK repeats a charging POST twice.
const client = new DodoPayments({ bearerToken: 'test-key', webhookKey: SECRET, baseURL: url, maxRetries: 0 });
const received = await listen();

async function control(route, body) {
  const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(`${url}/_sandbox/${route}`, options);
  assert.ok(answer.ok, `${route}: ${answer.status}`);
  return answer.json();
}

/** Start a listener for webhooks; `next(type)` waits for the first delivery of a type. */
async function listen() {
  const deliveries = [];
  const waiting = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      deliveries.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.end();
      waiting.splice(0).forEach((look) => look());
    });
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const next = (type) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${type} was delivered`)), DELIVERY_LIMIT_MS);
      const look = () => {
        const found = deliveries.find((delivery) => JSON.parse(delivery.body).type === type);
        if (!found) return waiting.push(look);
        clearTimeout(timer);
        return resolve(found);
      };
      look();
    });
  const clear = () => deliveries.splice(0);
  return { address: `http://127.0.0.1:${server.address().port}/`, next, clear, close: () => server.close() };
}

/** Buy on the hosted page, as a browser would, and return the payment. */
async function buy(productId = COURSE, card = '4242424242424242') {
  const session = await client.checkoutSessions.create({ product_cart: [{ product_id: productId, quantity: 1 }] });
  const form = { email: 'lan@example.com', name: 'Lan', ...ADDRESS, card_number: card, expiry: '06/32', cvc: '123' };
  await fetch(session.checkout_url, { method: 'POST', body: new URLSearchParams(form), redirect: 'manual' });
  const read = await client.checkoutSessions.retrieve(session.session_id);
  return client.payments.retrieve(read.payment_id);
}

async function oneClick(first, metadata = {}) {
  const customerId = first.customer.customer_id;
  const methods = await client.customers.retrievePaymentMethods(customerId);
  return client.checkoutSessions.create({
    product_cart: [{ product_id: TEMPLATES, quantity: 1 }],
    customer: { customer_id: customerId },
    payment_method_id: methods.items[0].payment_method_id,
    billing_address: ADDRESS,
    minimal_address: true,
    confirm: true,
    metadata,
  });
}

const scenarios = {
  async 'a hosted checkout is paid and its card is saved'() {
    const payment = await buy();
    assert.equal(payment.status, 'succeeded');
    const methods = await client.customers.retrievePaymentMethods(payment.customer.customer_id);
    assert.equal(methods.items[0].card.last4_digits, '4242');
  },
  async 'one click charges what the preview said'() {
    const first = await buy();
    const cart = [{ product_id: TEMPLATES, quantity: 1 }];
    const preview = await client.checkoutSessions.preview({ product_cart: cart, billing_address: ADDRESS });
    const session = await oneClick(first);
    const payment = await client.payments.retrieve(session.payment_id);
    assert.equal(session.checkout_url, null);
    assert.deepEqual([payment.status, payment.total_amount], ['succeeded', preview.total_price]);
  },
  async 'a card that saves but fails later is declined on the click'() {
    const session = await oneClick(await buy(COURSE, '4000000000000341'));
    const payment = await client.payments.retrieve(session.payment_id);
    assert.deepEqual([payment.status, payment.error_code], ['failed', 'GENERIC_DECLINE']);
  },
  async 'a lost answer leaves one charge to be found by its metadata'() {
    const first = await buy();
    await control('faults', { endpoint: 'POST /checkouts', effect: 'before', fault: 'reset', times: 1 });
    await assert.rejects(oneClick(first, { attempt: 'lost' }), DodoPayments.APIConnectionError);
    const page = await client.payments.list({ customer_id: first.customer.customer_id, page_size: 100 });
    assert.equal(page.items.filter((item) => item.metadata.attempt === 'lost').length, 1);
  },
  async 'a refusal carries its code'() {
    const refused = await client.checkoutSessions.create({ product_cart: [] }).catch((error) => error);
    assert.ok(refused instanceof DodoPayments.UnprocessableEntityError);
    assert.equal(refused.error.code, 'PRODUCT_CART_EMTPY');
  },
  async 'a refund is made and read'() {
    const payment = await buy();
    const refund = await client.refunds.create({ payment_id: payment.payment_id });
    const again = await client.payments.retrieve(payment.payment_id);
    assert.deepEqual([refund.amount, again.refund_status], [payment.total_amount, 'full']);
  },
  async 'a plan bought is an active subscription'() {
    const payment = await buy(BASIC);
    const subscription = await client.subscriptions.retrieve(payment.subscription_id);
    assert.equal(subscription.status, 'active');
  },
  async 'webhooks pass unwrap, forged ones do not'() {
    const payment = await buy();
    const delivery = await received.next('payment.succeeded');
    const event = client.webhooks.unwrap(delivery.body, { headers: delivery.headers });
    assert.equal(event.data.payment_id, payment.payment_id);
    const forged = delivery.body.replace('succeeded', 'failed');
    assert.throws(() => client.webhooks.unwrap(forged, { headers: delivery.headers }));
  },
};

await control('webhooks', { url: received.address, secret: SECRET });
for (const [name, run] of Object.entries(scenarios)) {
  await control('reset', {});
  received.clear();
  const error = await run().then(
    () => null,
    (failure) => String(failure.stack ?? failure),
  );
  console.log(JSON.stringify({ name, error }));
}
received.close();
