"""Public cases as scripts: what the orders said that authorities published, with our own numbers where theirs are of another market.

Sarao: CFTC v. Nav Sarao Futures Limited (press release 7156-15): four to six sell orders one price level apart, at least three levels from the best
price, together a fifth to a third of the visible side, moved with the market, nearly all canceled; trades on the other side meanwhile; cycles.
Athena: SEC administrative proceeding 34-73369: in the last two seconds before the close, more than 70 % of the volume, on one side.Coscia: CFTC docket 13-26 (Panther Energy Trading, 2013): a small order that is wanted, then at once several large ones on the other side at prices ever
nearer to the market; once the small one has traded, the large ones are canceled, and it begins again the other way round.
"""

from streams.research.labelled.world import BUY, SELL, Actor, World

SARAO, ATHENA, COSCIA = 1_900, 1_901, 1_902


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
