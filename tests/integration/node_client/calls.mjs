// Every call of the unmodified @alpacahq/alpaca-trade-api that its own tables name; run by test_node_client.py.
//
// In:  argv: base URL; two API keys as JSON [[key_id, secret], [key_id, secret]] of accounts with cash and AAPL shares
// Out: one line of JSON on standard output: {accessor: {call: what it gave in short, or {"error": text}}}. A call that the tables name and this file
//      does not make is an error.

import { randomUUID } from "node:crypto";
import { argv, exit, stdout } from "node:process";
import { Alpaca, capabilities as maps } from "@alpacahq/alpaca-trade-api";

const { capabilities, ergonomicCapabilities, streamingCapabilities } = maps;
const [url, keys] = [argv[2], JSON.parse(argv[3])];
const WAIT_MS = 120_000;
const HOUR_MS = 3_600_000;

/** The SDK has no option for its hosts; its option for `fetch` is where an address is changed. */
const fetchApi = (input, init) => {
  const at = new URL(input instanceof Request ? input.url : input);
  return fetch(url + at.pathname + at.search, init);
};

const [one, other] = keys.map(([keyId, secret]) => new Alpaca({ keyId, secret, fetchApi, rateLimit: false }));
const { trading, marketData } = one;
const socket = url.replace("http", "ws");

async function until(condition, what) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What each call gave. A value that says no (false, an empty list where there is something) is an error. */
async function made(calls) {
  const found = {};
  for (const [name, call] of Object.entries(calls)) {
    try {
      const value = await call();
      found[name] = value === undefined ? true : value;
      if (!found[name]) found[name] = { error: `gave ${JSON.stringify(value)}` };
    } catch (error) {
      found[name] = { error: `${error.name}: ${error.message}`.slice(0, 300) };
    }
  }
  return found;
}

const order = (more = {}) => ({ symbol: "AAPL", side: "buy", qty: 2, limitPrice: 100.05, timeInForce: "gtc", clientOrderId: randomUUID(), ...more });
const takeProfit = { limitPrice: 190.05 };
const stopLoss = { stopPrice: 90.05 };

/** One order from its beginning to its end; each call is about the order that the first has made. */
function orders() {
  let mine;
  const orderId = () => ({ orderId: mine.id });
  const canceled = async () => {
    await trading.orders.deleteOrderByOrderID(orderId());
    return until(async () => (await trading.orders.getOrderByOrderID(orderId())).status === "canceled", "the order is canceled");
  };
  return {
    postOrder: async () => {
      const postOrderRequest = { symbol: "AAPL", side: "buy", type: "limit", timeInForce: "gtc", qty: "5", limitPrice: "100.05" };
      mine = await trading.orders.postOrder({ postOrderRequest: { ...postOrderRequest, clientOrderId: randomUUID() } });
      return mine.status;
    },
    getAllOrders: async () => (await trading.orders.getAllOrders({ status: "open" })).some((found) => found.id === mine.id),
    getOrderByOrderID: async () => (await trading.orders.getOrderByOrderID(orderId())).id === mine.id,
    getOrderByClientOrderId: async () => (await trading.orders.getOrderByClientOrderId({ clientOrderId: mine.clientOrderId })).id === mine.id,
    patchOrderByOrderId: async () => {
      mine = await trading.orders.patchOrderByOrderId({ ...orderId(), patchOrderRequest: { qty: "4" } });
      return String(mine.qty) === "4";
    },
    deleteOrderByOrderID: canceled,
    market: async () => (await trading.orders.market({ symbol: "AAPL", side: "buy", qty: 1, clientOrderId: randomUUID() })).id,
    limit: async () => (await trading.orders.limit(order())).status,
    stop: async () => (await trading.orders.stop({ ...order({ side: "sell", stopPrice: 90.05 }), limitPrice: undefined })).status,
    stopLimit: async () => (await trading.orders.stopLimit(order({ side: "sell", stopPrice: 90.05, limitPrice: 90 }))).status,
    trailingStop: async () => (await trading.orders.trailingStop({ ...order({ side: "sell", trailPrice: 20 }), limitPrice: undefined })).status,
    bracket: async () => (await trading.orders.bracket(order({ takeProfit, stopLoss }))).legs.length === 2,
    oco: async () => (await trading.orders.oco({ ...order({ side: "sell", takeProfit, stopLoss }), limitPrice: undefined })).id,
    oto: async () => (await trading.orders.oto(order({ takeProfit }))).legs.length === 1,
    submit: async () => (await trading.orders.submit({ type: "limit", ...order() })).status,
    deleteAllOrders: async () => (await trading.orders.deleteAllOrders()).every((each) => each.status === 200),
  };
}

/** `other` takes the other side. */
function positions() {
  const bid = () => other.trading.orders.limit({ ...order({ qty: 2_000 }), limitPrice: 179 });
  const position = { symbolOrAssetId: "AAPL" };
  return {
    getAllOpenPositions: async () => (await trading.positions.getAllOpenPositions()).length,
    getOpenPosition: async () => (await trading.positions.getOpenPosition(position)).symbol,
    deleteOpenPosition: async () => {
      await bid();
      return (await trading.positions.deleteOpenPosition({ ...position, qty: 3 })).side;
    },
    optionExercise: () => trading.positions.optionExercise({ symbolOrContractId: "AAPL260116C00200000" }),
    optionDoNotExercise: () => trading.positions.optionDoNotExercise({ symbolOrContractId: "AAPL260116C00200000" }),
    deleteAllOpenPositions: async () => (await trading.positions.deleteAllOpenPositions({ cancelOrders: true })).length,
  };
}

/** One list from its beginning to its end, and one by its name. */
function watchlists() {
  let mine;
  const [name, renamed] = [randomUUID(), randomUUID()];
  const symbols = (list) => list.assets.map((asset) => asset.symbol).join();
  const id = () => ({ watchlistId: mine.id });
  return {
    postWatchlist: async () => {
      mine = await trading.watchlists.postWatchlist({ createWatchlistRequest: { name, symbols: ["AAPL"] } });
      return symbols(mine) === "AAPL";
    },
    getWatchlists: async () => (await trading.watchlists.getWatchlists()).some((list) => list.id === mine.id),
    getWatchlistById: async () => symbols(await trading.watchlists.getWatchlistById(id())) === "AAPL",
    getWatchlistByName: async () => symbols(await trading.watchlists.getWatchlistByName({ name })) === "AAPL",
    addAssetToWatchlist: async () =>
      symbols(await trading.watchlists.addAssetToWatchlist({ ...id(), addAssetToWatchlistRequest: { symbol: "MSFT" } })) === "AAPL,MSFT",
    removeAssetFromWatchlist: async () => symbols(await trading.watchlists.removeAssetFromWatchlist({ ...id(), symbol: "AAPL" })) === "MSFT",
    addAssetToWatchlistByName: async () =>
      symbols(await trading.watchlists.addAssetToWatchlistByName({ name, addAssetToWatchlistRequest: { symbol: "AAPL" } })) === "MSFT,AAPL",
    updateWatchlistById: async () =>
      symbols(await trading.watchlists.updateWatchlistById({ ...id(), updateWatchlistRequest: { name, symbols: ["NVDA"] } })) === "NVDA",
    updateWatchlistByName: async () =>
      (await trading.watchlists.updateWatchlistByName({ name, updateWatchlistRequest: { name: renamed, symbols: ["AAPL"] } })).name === renamed,
    deleteWatchlistByName: () => trading.watchlists.deleteWatchlistByName({ name: renamed }),
    deleteWatchlistById: async () => {
      mine = await trading.watchlists.postWatchlist({ createWatchlistRequest: { name: randomUUID(), symbols: [] } });
      return trading.watchlists.deleteWatchlistById(id());
    },
  };
}

const week = { start: new Date("2026-01-05"), end: new Date("2026-01-09") };
const announced = { caTypes: "dividend", since: "2026-01-01", until: "2026-02-01" };

/** Calls by accessor. */
const tables = {
  "trading.account": { getAccount: async () => (await trading.account.getAccount()).status },
  "trading.accountActivities": {
    getAccountActivities: async () => (await trading.accountActivities.getAccountActivities()).length,
    getAccountActivitiesByActivityType: async () =>
      (await trading.accountActivities.getAccountActivitiesByActivityType({ activityType: "FILL" })).length,
  },
  "trading.accountConfigurations": {
    getAccountConfig: async () => (await trading.accountConfigurations.getAccountConfig()).tradeConfirmEmail,
    patchAccountConfig: async () => (await trading.accountConfigurations.patchAccountConfig({ accountConfigurations: { suspendTrade: false } })).suspendTrade === false,
  },
  "trading.assets": {
    getV2Assets: async () => (await trading.assets.getV2Assets()).length,
    getV2AssetsSymbolOrAssetId: async () => (await trading.assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: "AAPL" })).symbol,
    getOptionsContracts: async () => (await trading.assets.getOptionsContracts({ underlyingSymbols: "AAPL" })).optionContracts.length === 0,
    getOptionContractSymbolOrId: () => trading.assets.getOptionContractSymbolOrId({ symbolOrId: "AAPL260116C00200000" }),
  },
  "trading.calendar": {
    calendar: async () => (await trading.calendar.calendar({ market: "NYSE", ...week })).calendar.length,
    legacyCalendar: async () => (await trading.calendar.legacyCalendar(week)).length,
  },
  "trading.clock": {
    clock: async () => (await trading.clock.clock({ markets: "NYSE" })).clocks.length,
    legacyClock: async () => (await trading.clock.legacyClock()).timestamp,
  },
  "trading.corporateActions": {
    getV2CorporateActionsAnnouncements: async () =>
      (await trading.corporateActions.getV2CorporateActionsAnnouncements(announced)).length === 0,
    getV2CorporateActionsAnnouncementsId: () => trading.corporateActions.getV2CorporateActionsAnnouncementsId({ id: randomUUID() }),
  },
  "trading.portfolioHistory": {
    getAccountPortfolioHistory: async () => (await trading.portfolioHistory.getAccountPortfolioHistory({ period: "1D", timeframe: "5Min" })).equity.length,
  },
  "trading.orders": orders(),
  "trading.watchlists": watchlists(),
  "trading.positions": positions(),
  "trading.locates": {
    createLocates: () => trading.locates.createLocates({ createLocateRequest: { locates: [{ symbol: "AAPL", qty: "100" }] } }),
    getLocate: () => trading.locates.getLocate({ locateId: randomUUID() }),
    listLocateQuotes: () => trading.locates.listLocateQuotes({ symbols: "AAPL" }),
    listLocates: () => trading.locates.listLocates({}),
  },
  "trading.events": { subscribeToActivitiesSSE: () => trading.events.subscribeToActivitiesSSE({}) },
  "trading.cryptoFunding": {
    createCryptoTransferForAccount: () =>
      trading.cryptoFunding.createCryptoTransferForAccount({ createCryptoTransferRequest: { amount: "1", address: "0x0", asset: "USDC" } }),
    getCryptoFundingTransfer: () => trading.cryptoFunding.getCryptoFundingTransfer({ transferId: randomUUID() }),
    listCryptoFundingTransfers: async () => (await trading.cryptoFunding.listCryptoFundingTransfers({})).id === undefined,
    getCryptoTransferEstimate: () =>
      trading.cryptoFunding.getCryptoTransferEstimate({ asset: "USDC", fromAddress: "0x0", toAddress: "0x1", amount: "1" }),
    listCryptoFundingWallets: () => trading.cryptoFunding.listCryptoFundingWallets({}),
    createWhitelistedAddress: () =>
      trading.cryptoFunding.createWhitelistedAddress({ createWhitelistedAddressRequest: { address: "0x0", asset: "USDC" } }),
    deleteWhitelistedAddress: () => trading.cryptoFunding.deleteWhitelistedAddress({ whitelistedAddressId: randomUUID() }),
    listWhitelistedAddress: () => trading.cryptoFunding.listWhitelistedAddress(),
  },
  "trading.tokenization": {
    getTokenizationRequest: () => trading.tokenization.getTokenizationRequest({ tokenizationRequestId: randomUUID() }),
    getTokenizationRequestByClientRequestID: () => trading.tokenization.getTokenizationRequestByClientRequestID({ clientRequestId: "1" }),
    getTokenizationRequests: () => trading.tokenization.getTokenizationRequests({}),
    postTokenizationMint: () =>
      trading.tokenization.postTokenizationMint({ tokenizationMintRequest: { underlyingSymbol: "AAPL", qty: "1", issuer: "x", network: "x", walletAddress: "0x0" } }),
  },
};

const since = () => new Date(Date.now() - HOUR_MS);
const inStocks = () => ({ symbols: "AAPL", start: since() });
const inCrypto = () => ({ loc: "us", symbols: "AAPL/USD", start: since() });
const inOptions = () => ({ symbols: "AAPL260116C00200000", start: since() });
const bars = (request) => ({ ...request, timeframe: "1Min" });

function dataTables() {
  const { stocks, crypto, options, screener } = marketData;
  const of = (answer, name, symbol) => answer[name][symbol].length;
  tables["marketData.stocks"] = {
    stockBars: async () => of(await stocks.stockBars(bars(inStocks())), "bars", "AAPL"),
    stockTrades: async () => of(await stocks.stockTrades(inStocks()), "trades", "AAPL"),
    stockQuotes: async () => of(await stocks.stockQuotes(inStocks()), "quotes", "AAPL"),
    stockAuctions: async () => typeof (await stocks.stockAuctions(inStocks())).auctions,
    stockSnapshots: async () => (await stocks.stockSnapshots({ symbols: "AAPL" })).AAPL.latestTrade.p,
    stockLatestBars: async () => typeof (await stocks.stockLatestBars({ symbols: "AAPL" })).bars,
    stockLatestQuotes: async () => (await stocks.stockLatestQuotes({ symbols: "AAPL" })).quotes.AAPL.bp,
    stockLatestTrades: async () => (await stocks.stockLatestTrades({ symbols: "AAPL" })).trades.AAPL.p,
    stockMetaConditions: async () => Object.keys(await stocks.stockMetaConditions({ ticktype: "trade", tape: "A" })).length,
    stockMetaExchanges: async () => Object.keys(await stocks.stockMetaExchanges()).length,
  };
  tables["marketData.crypto"] = {
    cryptoBars: async () => of(await crypto.cryptoBars(bars(inCrypto())), "bars", "AAPL/USD"),
    cryptoTrades: async () => of(await crypto.cryptoTrades(inCrypto()), "trades", "AAPL/USD"),
    cryptoQuotes: async () => of(await crypto.cryptoQuotes(inCrypto()), "quotes", "AAPL/USD"),
    cryptoSnapshots: async () => (await crypto.cryptoSnapshots(inCrypto())).snapshots["AAPL/USD"].latestTrade.p,
    cryptoLatestBars: async () => typeof (await crypto.cryptoLatestBars(inCrypto())).bars,
    cryptoLatestQuotes: async () => (await crypto.cryptoLatestQuotes(inCrypto())).quotes["AAPL/USD"].bp,
    cryptoLatestTrades: async () => (await crypto.cryptoLatestTrades(inCrypto())).trades["AAPL/USD"].p,
    cryptoLatestOrderbooks: async () => (await crypto.cryptoLatestOrderbooks(inCrypto())).orderbooks["AAPL/USD"].b.length,
  };
  tables["marketData.screener"] = {
    mostActives: () => until(async () => (await screener.mostActives({ by: "trades" })).mostActives.length, "the day is known"),
    movers: async () => (await screener.movers({ marketType: "stocks" })).marketType,
  };
  tables["marketData.news"] = { news: async () => Array.isArray((await marketData.news.news({})).news) };
  tables["marketData.corporateActions"] = {
    corporateActions: async () => typeof (await marketData.corporateActions.corporateActions({ symbols: "AAPL" })).corporateActions,
  };
  tables["marketData.logos"] = { logos: () => marketData.logos.logos({ symbol: "AAPL" }) };
  const symbols = { symbols: "AAPL", loc: "global" };
  const perps = marketData.cryptoPerpetualFutures;
  tables["marketData.cryptoPerpetualFutures"] = Object.fromEntries(
    ["cryptoPerpLatestBars", "cryptoPerpLatestQuotes", "cryptoPerpLatestTrades", "cryptoPerpLatestOrderbooks", "cryptoPerpLatestFuturesPricing"].map(
      (name) => [name, () => perps[name](symbols)],
    ),
  );
  const { fixedIncome, forex, indices } = marketData;
  tables["marketData.fixedIncome"] = {
    fixedIncomeLatestPrices: () => fixedIncome.fixedIncomeLatestPrices({ isins: "US912797KJ59" }),
    fixedIncomeLatestQuotes: () => fixedIncome.fixedIncomeLatestQuotes({ isins: "US912797KJ59" }),
  };
  tables["marketData.forex"] = {
    rates: () => forex.rates({ currencyPairs: "USDEUR", timeframe: "1Min" }),
    latestRates: () => forex.latestRates({ currencyPairs: "USDEUR" }),
  };
  tables["marketData.indices"] = {
    indexValues: () => indices.indexValues({ symbols: "SPX" }),
    indexLatestValues: () => indices.indexLatestValues({ symbols: "SPX" }),
  };
  tables["marketData.options"] = {
    optionBars: () => options.optionBars(bars(inOptions())),
    optionTrades: () => options.optionTrades(inOptions()),
    optionChain: () => options.optionChain({ underlyingSymbol: "AAPL" }),
    optionSnapshots: () => options.optionSnapshots(inOptions()),
    optionLatestQuotes: () => options.optionLatestQuotes(inOptions()),
    optionLatestTrades: () => options.optionLatestTrades(inOptions()),
    optionMetaConditions: () => options.optionMetaConditions({ ticktype: "trade" }),
    optionMetaExchanges: () => options.optionMetaExchanges(),
  };
}

async function drained(pages) {
  let found = 0;
  for await (const _ of pages) found += 1;
  return found;
}

/** The request of a helper, by what its name speaks of. */
function requestOf(name) {
  const single = name.includes("Single");
  if (name.includes("Crypto")) return bars(inCrypto());
  if (name.includes("OptionChain")) return { underlyingSymbol: "AAPL" };
  if (name.includes("Option")) return bars(inOptions());
  if (name.includes("Forex")) return { currencyPairs: "USDEUR", timeframe: "1Min", start: since() };
  if (name.includes("Index")) return { symbols: "SPX", start: since() };
  if (name.includes("CorporateActions")) return { symbols: "AAPL" };
  if (name.includes("News")) return {};
  return single ? bars({ symbol: "AAPL", start: since() }) : bars(inStocks());
}

const size = (value) => (value instanceof Map ? value.size : Array.isArray(value) ? value.length : Object.keys(value).length);
/** Where there is nothing to be found here, nothing is right. */
const isEmptyHere = (name) => /News|CorporateActions|Auction/.test(name);

function helpers() {
  const activities = { activityType: "FILL" };
  const found = {
    validateConnection: async () => Boolean(await trading.validateConnection()),
    submitAndWait: async () => {
      const stream = trading.stream({ url: `${socket}/stream` });
      stream.onError(() => undefined);
      stream.connect();
      if (!(await stream.waitForAuthentication(WAIT_MS))) throw new Error("not authenticated");
      const done = await trading.submitAndWait({ type: "market", symbol: "AAPL", side: "buy", qty: 1 }, { stream });
      stream.disconnect();
      return done.status ?? Boolean(done);
    },
    closeAllPositions: async () => Boolean(await trading.closeAllPositions({ cancelOrders: true })),
    iterateOptionsContracts: async () => (await drained(trading.iterateOptionsContracts({ underlyingSymbols: "AAPL" }))) === 0,
    collectOptionsContracts: async () => (await trading.collectOptionsContracts({ underlyingSymbols: "AAPL" })).length === 0,
    iterateActivities: () => drained(trading.iterateActivities({})),
    collectActivities: async () => (await trading.collectActivities({})).length,
    iterateActivitiesByType: () => drained(trading.iterateActivitiesByType(activities)),
    collectActivitiesByType: async () => (await trading.collectActivitiesByType(activities)).length,
    getLatestPrice: () => marketData.getLatestPrice("AAPL"),
  };
  for (const { accessor, methods } of ergonomicCapabilities.filter((table) => table.accessor === "marketData")) {
    for (const name of methods.filter((each) => !(each in found))) {
      found[name] = async () => {
        const call = marketData[name].bind(marketData);
        const request = requestOf(name);
        const { symbols, ...rest } = request;
        const value = name.startsWith("iterate") ? await drained(call(request)) : await (name.endsWith("For") ? call(symbols, rest) : call(request));
        const count = typeof value === "number" ? value : size(value);
        return isEmptyHere(name) ? `${accessor}: ${count}` : count;
      };
    }
  }
  return found;
}

/** Each stream authenticates, is subscribed to, and is heard where the market speaks. */
async function streams() {
  const heard = new Set();
  const hear = (name) => () => heard.add(name);
  const stock = marketData.stockStream({ feed: "iex", url: `${socket}/v2/iex` });
  const coins = marketData.cryptoStream({ url: `${socket}/v1beta3/crypto/us` });
  const updates = trading.stream({ url: `${socket}/stream` });
  const subscribe = {
    TradingStream: [updates, () => updates.subscribeTradeUpdates(), () => updates.onTradeUpdate(hear("TradingStream"))],
    StockDataStream: [stock, () => stock.subscribeForTrades(["AAPL"]), () => stock.onTrade(hear("StockDataStream"))],
    CryptoDataStream: [coins, () => coins.subscribeForTrades(["AAPL"]), () => coins.onTrade(hear("CryptoDataStream"))],
  };
  const calls = {};
  for (const [name, [stream, begin, listen]] of Object.entries(subscribe)) {
    calls[name] = async () => {
      listen();
      stream.onError(() => undefined);
      stream.connect();
      if (!(await stream.waitForAuthentication(WAIT_MS))) throw new Error("not authenticated");
      begin();
      const buys = async () => {
        await trading.orders.market({ symbol: "AAPL", side: "buy", qty: 1, clientOrderId: randomUUID() });
        await new Promise((resolve) => setTimeout(resolve, 200));
        return heard.has(name);
      };
      await until(buys, `${name} speaks`);
      stream.disconnect();
      return true;
    };
  }
  calls.OptionDataStream = () => notHere(marketData.optionStream({ url: `${socket}/v1beta1/options` }));
  calls.NewsStream = () => notHere(marketData.newsStream({ url: `${socket}/v1beta1/news` }));
  return made(calls);
}

async function notHere(stream) {
  stream.onError(() => undefined);
  stream.connect();
  const authenticated = await stream.waitForAuthentication(5_000);
  stream.disconnect();
  if (!authenticated) throw new Error("there is no such stream");
}

async function quotes() {
  for (const [side, price] of [["buy", 179], ["sell", 180]]) await other.trading.orders.limit({ ...order({ side, qty: 1_000 }), limitPrice: price });
}

/** The account has its shares: opening it is a command in the log, and the first requests may be there before it. */
const hasShares = async (client) => {
  try {
    return (await client.trading.positions.getAllOpenPositions()).length === 2;
  } catch {
    return false;
  }
};

/** Positions were closed before: there are shares again. */
async function buySome() {
  await quotes();
  const { id } = await trading.orders.market({ symbol: "AAPL", side: "buy", qty: 10, clientOrderId: randomUUID() });
  await until(async () => (await trading.orders.getOrderByOrderID({ orderId: id })).status === "filled", "shares are bought");
  await until(async () => (await trading.positions.getAllOpenPositions()).some((each) => each.symbol === "AAPL"), "the position is there");
}

async function main() {
  for (const client of [one, other]) await until(() => hasShares(client), "the account is open");
  await quotes();
  await trading.orders.market({ symbol: "AAPL", side: "buy", qty: 10, clientOrderId: randomUUID() });
  await until(async () => (await marketData.stocks.stockTrades(inStocks())).trades.AAPL?.length, "a trade is stored");
  await until(async () => (await trading.accountActivities.getAccountActivities()).length, "a fill is stored");
  dataTables();
  const found = { streams: await streams() };
  for (const { accessor, methods } of capabilities) {
    if (accessor === "trading.positions") found.helpers = await made(helpers());
    if (accessor === "marketData.stocks") await quotes(); // positions that were closed have taken the bids
    if (accessor === "trading.positions") await buySome();
    found[accessor] = await made(tables[accessor] ?? {});
    for (const name of methods) found[accessor][name] ??= { error: "not called by this test" };
  }
  for (const { accessor, methods } of ergonomicCapabilities) {
    const where = accessor === "trading.orders" ? found[accessor] : found.helpers;
    for (const name of methods) where[name] ??= { error: "not called by this test" };
  }
  for (const { stream } of streamingCapabilities) found.streams[stream] ??= { error: "not called by this test" };
  await other.trading.orders.deleteAllOrders();
  await trading.orders.deleteAllOrders();
  return found;
}

stdout.write(`${JSON.stringify(await main())}\n`, () => exit(0));
