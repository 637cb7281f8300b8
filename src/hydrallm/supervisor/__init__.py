"""Several processes that serve one listener, and the one that keeps them.

::

                    supervisor: keeps the sockets, starts, replaces, passes messages on; touches no traffic
              ┌───────────┼──────────┐
           socket 1   socket 2   socket 3      on one port; the kernel spreads connections over them
           channel 1  channel 2  channel 3     a Unix socket pair each
              │           │          │
           worker 1   worker 2   worker 3      each the whole gateway: a loop, connections, breakers, a log

**Sockets.** The supervisor binds a listening socket for each worker and never closes its copy. A worker that dies
leaves a socket that still listens: who connects meanwhile waits in its queue, and the replacement accepts. No port is
ever closed by a death, and only the exchanges inside the dead worker fail. (Workers that bind for themselves lose their
queue with their socket: each death resets whoever waits in it.)

**Processes** are forked, and not started anew. A replacement must serve within a second, also on a machine whose cores
are all busy, and an interpreter alone takes a good part of that to import everything; a fork takes milliseconds. It has
the very settings that were checked, whatever has become of the file since, and the environment that they came from;
secrets pass through no pipe. Pages that nobody writes to are shared. What makes forking dangerous is not there: the
supervisor runs no thread and no event loop, and has made no TLS context and no connection. So it is a loop around
``select``, its log is written without a thread, and all that has a state is made after the fork.

**Death** shows as SIGCHLD. A worker is replaced at once; one that dies young again and again, after a growing pause. If
the first ones cannot even start there is nothing to keep up, and the command ends with their message. When the
supervisor dies itself, however it dies, the workers read the end of their channels; then they drain and end.

**Signals** go to the supervisor, and orders go from there over the channels. Workers ignore SIGINT, which Ctrl-C sends
to the whole process group. SIGTERM makes a worker drain, and the supervisor starts another meanwhile.

**Messages** (:mod:`hydrallm.supervisor.messages`): any worker may put a question to all workers, by way of the
supervisor, which does not read the answers. It waits for them for a bounded time, so a stuck worker keeps nobody
waiting.

With one worker, and on Windows, there is none of this: :mod:`hydrallm.supervisor.serving` runs the one process itself.
"""
