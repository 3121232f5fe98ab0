"""Small logs of different kinds, none like another: what changes from run to run changes here too."""

from __future__ import annotations

LOGS = (
    """> api@1.{n}.0 test
> jest --ci

FAIL src/orders/total.test.js
  ● Test suite failed to run

    Cannot find module 'left-pad-{n}' from 'src/orders/total.js'

      1 | const money = require('../money');
    > 2 | const pad = require('left-pad-{n}');
        |             ^

      at Resolver._throwModNotFoundError (node_modules/jest-resolve/build/resolver.js:427:11)

Test Suites: 1 failed, 11 passed, 12 total
Time:        4.{n} s
npm ERR! code 1
""",
    """[2026-03-0{d}T10:14:{s}Z] INFO worker {n} starts
Traceback (most recent call last):
  File "/srv/app{n}/worker.py", line 88, in <module>
    main()
  File "/srv/app{n}/worker.py", line 61, in main
    import orders_{n}
ModuleNotFoundError: No module named 'orders_{n}'
worker exited with code 1
""",
    """Step 7/12 : RUN make -j4 build
 ---> Running in 4b1c{n}
gcc -O2 -c main_{n}.c -o main.o
main_{n}.c: In function 'main':
main_{n}.c:12:5: error: 'counter_{n}' undeclared (first use in this function)
   12 |     counter_{n} = 0;
      |     ^~~~~~~
make: *** [Makefile:9: main.o] Error 1
The command '/bin/sh -c make -j4 build' returned a non-zero code: 2
""",
    """2026-03-0{d} 10:14:{s}.112 [main] INFO  c.e.shop{n}.Application - Starting Application
2026-03-0{d} 10:14:{s}.912 [main] ERROR o.s.boot.SpringApplication - Application run failed
java.lang.OutOfMemoryError: Java heap space
	at java.base/java.util.Arrays.copyOf(Arrays.java:3537)
	at com.example.shop{n}.Cache.grow(Cache.java:{s})
	at com.example.shop{n}.Application.main(Application.java:21)
Exit code 1 after {n} ms
""",
)


def small(number: int) -> str:
    """The log of this number."""
    text = LOGS[number % len(LOGS)]
    return (
        text.replace("{n}", str(100_000 + number))
        .replace("{d}", str(number % 9 + 1))
        .replace("{s}", f"{number % 60:02}")
    )
