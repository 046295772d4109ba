"""Public cases as scripts: what the orders said that authorities published, with our own numbers where theirs are of another market.

Sarao: CFTC v. Nav Sarao Futures Limited (press release 7156-15): four to six sell orders one price level apart, at least three levels from the best
price, together a fifth to a third of the visible side, moved with the market, nearly all canceled; trades on the other side meanwhile; cycles.
Athena: SEC administrative proceeding 34-73369: in the last two seconds before the close, more than 70 % of the volume, on one side.
Coscia: CFTC docket 13-26 (Panther Energy Trading, 2013): a small order that is wanted, then at once several large ones on the other side at prices ever
nearer to the market; once the small one has traded, the large ones are canceled, and it begins again the other way round.
Oystacher and 3Red Trading: N.D. Ill. 15-cv-9196 (complaint of 2015, order of 2016): by hand, passive orders at or near the touch that at least doubled what
stood there; then, by a function of his software that avoids crossing himself, they are canceled within 5 ms of an aggressive order at the same price.
HYDRO: United States v. Kane and others (S.D. Fla., sentences of June 2024): a bot with large orders at random intervals, never meant to trade, about forty
times as much in all as its trades with itself, while tokens are sold to whoever believes in the demand.
"""

from streams.research.labelled.world import BUY, SELL, Actor, World

SARAO, ATHENA, COSCIA, OYSTACHER, HYDRO = 1_900, 1_901, 1_902, 1_903, 1_904


def sarao(world: World) -> Actor:
    """Five cycles of the layering algorithm. The book of the case was deeper: 600 lots an order here are 200 to 600 contracts there."""
    began, ids = world.now, []
    for _ in range(5):
        layers = [world.order(SARAO, SELL, world.best[SELL] + 3 + level, 600) for level in range(5)]
        yield 1.0
        bought = world.order(SARAO, BUY, world.best[SELL], 20, immediate=True)
        yield 1.0
        for order_id in layers:
            world.cancel(SARAO, order_id)
        ids += [*layers, bought]
        yield 8.0
        ids.append(world.order(SARAO, SELL, world.best[BUY], 20, immediate=True))
        yield 4.0
    world.label("LAYERING", (SARAO,), 1.0, began, ids)


def athena(world: World) -> Actor:
    """Accumulates before, then buys in the last two seconds what leads the volume. To be begun two seconds before the close."""
    began, ids = world.now, []
    for _ in range(36):
        ids.append(world.order(ATHENA, BUY, world.best[SELL] + 2, 150, immediate=True))
        yield 0.05
    world.label("MARKING_THE_CLOSE", (ATHENA,), 1.0, began, ids)


def coscia(world: World) -> Actor:
    """Eight turns, sell and buy by turns. His large orders stood for some tenths of a second; few trade here, so they stand until the small one has traded."""
    began, ids = world.now, []
    for turn in range(8):
        side, away = (SELL, -1) if turn % 2 == 0 else (BUY, 1)
        small = world.order(COSCIA, side, world.best[side] + away, 20)
        large = [world.order(COSCIA, BUY + SELL - side, world.best[BUY + SELL - side] + away * further, 500) for further in (6, 4, 2)]
        ids += [small, *large]
        for _ in range(60):
            yield 0.1
            if small not in world.open:
                break
        for order_id in (small, *large):
            if order_id in world.open:
                world.cancel(COSCIA, order_id)
        yield 3.0
    world.label("SPOOFING", (COSCIA,), 1.0, began, ids)


def oystacher(world: World) -> Actor:
    """Six flips, either way: three orders that are far more than stands at the touch, a moment in which others join, then gone, and taken from the others."""
    began, ids = world.now, []
    for turn in range(6):
        side, away = (BUY, -1) if turn % 2 == 0 else (SELL, 1)
        shown = [world.order(OYSTACHER, side, world.best[side] + away, round(2 * world.usual_level)) for _ in range(3)]
        ids += shown
        yield 0.6
        price = world.best[side]
        for order_id in shown:
            world.cancel(OYSTACHER, order_id)
        yield 0.005
        ids.append(world.order(OYSTACHER, BUY + SELL - side, price + 2 * away, 40, immediate=True))
        yield 12.0
    world.label("SPOOFING", (OYSTACHER,), 1.0, began, ids)


def hydro(world: World) -> Actor:
    """Two minutes of the bot: demand that is shown and taken away, small trades with itself, and sales to the others."""
    began, ids = world.now, []
    for turn in range(12):
        shown = world.order(HYDRO, BUY, world.best[BUY] - 1, round(12 * world.usual_level))
        yield 0.4
        sold = world.order(HYDRO, SELL, world.best[BUY], 30, immediate=True)
        yield 0.4
        world.cancel(HYDRO, shown)
        ids += [shown, sold]
        if turn % 2:
            price = (world.best[BUY] + world.best[SELL]) // 2
            ids += [
                world.order(HYDRO, SELL, price, 60, unprevented=True),
                world.order(HYDRO, BUY, price, 60, immediate=True, unprevented=True),
            ]
        yield float(world.own_rng.uniform(4, 12))
    world.label("SPOOFING", (HYDRO,), 1.0, began, ids)
