from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from shop.models import Order, Product
from shop.orders import (
    GENEROUS,
    SHIPPED_ORDERS,
    OrdersFileError,
    read_orders,
    save_orders,
    stock_catalogue,
    stock_unknown,
)

HEADER = "order_id,customer,country,product,quantity,unit_price\n"


@pytest.fixture
def orders_file(tmp_path):
    def orders_file(text, encoding="utf-8"):
        path = tmp_path / "orders.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return orders_file


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "1,Ann,DE,Lamp,2,10.50\n",
        "\ufeff" + HEADER + "1,Ann,DE,Lamp,2,10.50\n",  # as Excel saves it
        HEADER.replace("\n", "\r\n") + "1,Ann,DE,Lamp,2,10.50\r\n",
        HEADER.replace(",", ", ") + "1, Ann, DE, Lamp, 2, 10.5\n",  # space after each comma
        HEADER + "1,Ann,DE,Lamp,2,10.50",  # no line break at the end
        HEADER + "\n1,Ann,DE,Lamp,2,10.50\n,,,,,\n\n",  # empty lines
        HEADER + "1,Ann,DE,Lamp,2,10.50,,\n",  # empty cells behind
        "note,unit_price,quantity,product,country,customer,order_id\n,10.5,2,Lamp,DE,Ann,1\n",
        HEADER + '1,"Ann",DE,"Lamp",2,10.500\n',
    ],
)
def test_one_order_however_it_is_written(orders_file, text):
    read = read_orders(orders_file(text))

    (order,) = read.orders
    assert read.errors == []
    assert (order.number, order.customer, order.country) == ("1", "Ann", "DE")
    assert [(line.product, line.quantity, line.unit_price) for line in order.lines] == [
        ("Lamp", 2, Decimal("10.50"))
    ]


def test_rows_with_one_order_id_are_one_order_wherever_they_stand(orders_file):
    rows = "1,Ann,DE,Lamp,1,1\n2,Bob,FR,Rug,1,1\n1,Ann,DE,Rug,3,2\n"

    read = read_orders(orders_file(HEADER + rows))

    assert [(order.number, len(order.lines)) for order in read.orders] == [("1", 2), ("2", 1)]


def test_names_keep_their_letters_quotes_and_commas(orders_file):
    read = read_orders(orders_file(HEADER + '1,"山田, ""Bär"" & Søn",日本,Café-Tisch,1,1\n'))

    (order,) = read.orders
    assert (order.customer, order.country) == ('山田, "Bär" & Søn', "日本")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,Ann,DE,Lamp,two,1", "quantity 'two' is no whole number up to 1000000"),
        ("1,Ann,DE,Lamp,1.5,1", "quantity '1.5' is no whole number"),
        ("1,Ann,DE,Lamp,1_0,1", "quantity '1_0' is no whole number"),
        ("1,Ann,DE,Lamp,\u0663,1", "quantity '\u0663' is no whole number"),
        ("1,Ann,DE,Lamp,-2,1", "quantity -2 is negative"),
        ("1,Ann,DE,Lamp,1000001,1", "quantity 1000001 is more than 1000000"),
        ("1,Ann,DE,Lamp," + "9" * 5000 + ",1", "is no whole number"),
        ("1,Ann,DE,Lamp,1,dear", "unit_price 'dear' is no amount; write it as 1234.50"),
        ('1,Ann,DE,Lamp,1,"1,50"', "unit_price '1,50' is no amount"),
        ("1,Ann,DE,Lamp,1,NaN", "unit_price 'NaN' is no amount"),
        ("1,Ann,DE,Lamp,1,Infinity", "unit_price 'Infinity' is no amount"),
        ("1,Ann,DE,Lamp,1,-1", "unit_price -1 is negative"),
        ("1,Ann,DE,Lamp,1,1e99", "unit_price 1e99 is not below"),
        ("1,Ann,DE,Lamp,1,0.001", "unit_price 0.001 has more than two decimals"),
        ("1,Ann,DE,Lamp,1", "unit_price must not be empty"),
        ("1,Ann,,Lamp,1,1", "country must not be empty"),
        (",Ann,DE,Lamp,1,1", "order_id must not be empty"),
        ("1,Ann,DE,Lamp,1,1,1", "it has more cells than the first line; quote a comma"),
        (f"1,{'A' * 151},DE,Lamp,1,1", "customer is longer than 150 characters"),
        ('1,"An\nn",DE,Lamp,1,1', "holds a line break"),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_the_other_orders_are_read(orders_file, row, problem):
    read = read_orders(orders_file(f"{HEADER}7,Zoe,DE,Rug,1,1\n{row}\n8,Zoe,DE,Rug,1,1\n"))

    line = 3 + row.count("\n")
    assert read.errors[0].startswith(f"orders.csv, line {line}: ")
    assert problem in read.errors[0]
    assert [order.number for order in read.orders] == ["7", "8"]


def test_an_order_with_a_bad_row_is_left_out_whole(orders_file):
    read = read_orders(orders_file(HEADER + "1,Ann,DE,Lamp,1,1\n1,Ann,DE,Rug,x,1\n"))

    assert read.orders == []
    assert read.errors[1] == "orders.csv: order 1 is left out because of that."


def test_an_order_of_two_customers_is_refused_with_both_lines(orders_file):
    read = read_orders(orders_file(HEADER + "1,Ann,DE,Lamp,1,1\n1,Bob,DE,Rug,1,1\n"))

    assert read.errors[0] == (
        "orders.csv, line 3: customer is 'Bob', but 'Ann' in line 2 of the same order 1"
    )


@pytest.mark.parametrize(
    ("text", "encoding", "problem"),
    [
        ("", "utf-8", "is empty; its first line must be order_id,customer,"),
        (HEADER, "utf-8", "has no orders"),
        (HEADER.replace(",", ";") + "1;A;DE;L;1;1\n", "utf-8", "is not separated by commas"),
        (HEADER.replace(",", "\t"), "utf-8", "is not separated by commas"),
        (HEADER.replace(",unit_price", ""), "utf-8", "look for unit_price"),
        (HEADER.replace("country", "customer"), "utf-8", "look for customer, country"),
        (HEADER + "1,Jürgen,DE,L,1,1\n", "latin-1", "is not UTF-8"),
        (HEADER + '1,"Ann,DE,L,1,1\n', "utf-8", "line 2: unexpected end of data"),
    ],
)
def test_a_file_that_is_no_orders_file_is_refused(orders_file, text, encoding, problem):
    with pytest.raises(OrdersFileError, match=problem):
        read_orders(orders_file(text, encoding))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OrdersFileError, match="No such file"):
        read_orders(tmp_path / "nowhere.csv")


def test_the_shipped_file_has_two_hundred_orders_and_no_errors():
    read = read_orders(SHIPPED_ORDERS)

    assert len(read.orders) == 200
    assert sum(len(order.lines) for order in read.orders) > 400
    assert read.errors == []


@pytest.mark.django_db
def test_an_order_that_is_there_already_is_left_as_it_is(orders_file):
    first = save_orders(read_orders(orders_file(HEADER + "1,Ann,DE,Lamp,1,1\n")).orders)
    second = save_orders(read_orders(orders_file(HEADER + "1,Bob,FR,Lamp,2,1\n")).orders)

    assert first == second
    assert Order.objects.get().customer == "Ann"
    assert Order.objects.get().lines.count() == 1


@pytest.mark.django_db
def test_products_that_the_shop_does_not_know_are_stocked_and_the_others_left(orders_file):
    stock_catalogue()
    before = Product.objects.get(name="Milk jug").stock
    read = read_orders(orders_file(HEADER + "1,Ann,DE,Lamp,1,12.50\n1,Ann,DE,Milk jug,1,1\n"))

    stock_unknown(read.orders)

    assert Product.objects.get(name="Lamp").stock == GENEROUS
    assert Product.objects.get(name="Lamp").unit_price == Decimal("12.50")
    assert Product.objects.get(name="Milk jug").stock == before


@pytest.mark.django_db(transaction=True)
def test_the_command_imports_and_starts_what_is_right_and_fails_for_the_rest(
    orders_file, ledger, capsys
):
    path = orders_file(HEADER + "1,Ann,DE,Lamp,1,1\n2,Bob,DE,Lamp,x,1\n")

    with pytest.raises(CommandError, match="has errors; what has none was imported"):
        call_command("import_orders", path, "--stock-unknown", "--start")

    assert Order.objects.get().status == Order.Status.SHIPPED
    assert "line 3: quantity 'x'" in capsys.readouterr().err


@pytest.mark.django_db
def test_the_command_says_that_a_file_is_missing(tmp_path):
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_orders", tmp_path / "nowhere.csv")
