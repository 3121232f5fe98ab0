"""What a database may be asked by a planner that was talked into it: no secret under another name, no whole rows."""

from __future__ import annotations

import pytest

from devops_agent.errors import NotAllowed
from devops_agent.tools.askable import require_open


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from orders",
        "select status, count(*) from orders group by status order by 2",
        "select * from orders where id = 5 limit 3",
        "select o.id, c.name from orders o join customers as c on c.id = o.customer_id where o.state = 'x'",
        "select n from generate_series(1, 1000) as n",
        "with a as (select id, state from orders) select a.id from a",
        "with a as (values (1), (2)) select max(column1) from a",
        "select relname, n_dead_tup from pg_stat_user_tables where n_dead_tup > 5",
        "select now(), current_setting('max_connections')",
        "select a.id from (select id from orders) a",
        "select 'x' as password",
        "select t.id from t, u where t.id = u.id and t.note = 'select users from users'",
        "select count(distinct o.id) from orders o left join items i on i.order_id = o.id",
    ],
)
def test_an_ordinary_question(query: str) -> None:
    require_open(query)


@pytest.mark.parametrize(
    "query",
    [
        'select s::text from "pg_shadow" s',
        "select umoptions from pg_user_mappings",
        "select most_common_vals from pg_stats",
        "select concat(password) as note from users",
        'select substr("password", 1, 3) as a from users',
        "select api_key as a from t",
        "select s::text from users s",
        "select users::text from users",
        "select json_agg(u) from users u",
        "select array_agg(u) from only users as u",
        "select row(u) from public.users u",
        "select (u).* from users u",
        "select u is null, u from users u",
        "select max(u::text) from users u",
        "select q::text from (select id from users) q",
        "select concat_ws(',', a) from (select * from users) a",
        "with p as (select u from users u) select p.u from p",
        "with q(a, b) as (select * from users) select * from q",
        "select 1 as id, 'x' as note union all select * from users",
        "select 'x' as a union table users",
        "select * from users count(a, b, c)",
        "select x.* from users x",
        "select 1 from t order by users from users",
    ],
)
def test_a_question_for_what_is_hidden(query: str) -> None:
    with pytest.raises(NotAllowed, match="query: "):
        require_open(query)
