"""A Python that starts in milliseconds, because it has imported torch before.

A server imports it once, with the other modules that it is given, and forks a process for each
command line that a client sends. The client is started in the place of `python` (the fixtures
`warm_python` and `torch_python`): it hands over its arguments, folder, environment and standard
streams, passes signals on, and ends as the process ended. A
process is new and has a state of its own, but what is decided when Python starts or imports a
package (a number of threads, resource limits, most interpreter options) was decided in the server,
and Python is not shut down step by step. Tests of that start a process of their own.
"""
import atexit
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType


def client(name, arguments):
    """Have the server run a command line, and end as its process does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f'\0{name}')
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: connection.send(bytes([number])))
        socket.send_fds(connection, [b'\n'], [0, 1, 2])
        request = json.dumps([arguments, os.getcwd(), dict(os.environ)])
        connection.sendall(request.encode() + b'\n')
        code = int.from_bytes(connection.recv(2), 'big', signed=True)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def serve(listener):
    """Fork for each client until standard input ends; return a request in its process."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            with suppress(ChildProcessError):  # their time is then counted as the tests'
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            sys.exit()
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _, streams, _, _ = socket.recv_fds(connection, 1, 3)
            request = json.loads(connection.makefile().readline())
            process = os.fork()
            if process:
                for stream in streams:
                    os.close(stream)
                keep(process, connection)
            connection.close()
            return *request, streams
        connection.close()


def keep(process, connection):
    """Pass the client's signals to a process and its exit code to the client.

    A client that is gone was killed: the process is killed, too.
    """
    ended = os.pidfd_open(process)
    while ended not in select.select([connection, ended], [], [])[0]:
        number = connection.recv(1)
        os.kill(process, number[0] if number else signal.SIGKILL)
        if not number:
            break
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    try:
        connection.send(code.to_bytes(2, 'big', signed=True))
    finally:
        os._exit(0)


def run(arguments, folder, environment, streams):
    """Do what `python ARGUMENTS` does."""
    import numpy as np
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()  # as at the start of a process; otherwise all would draw the same numbers
    np.random.seed()
    if environment.get('PYTHONWARNINGS') == 'ignore':
        warnings.simplefilter('ignore')
    while arguments[0] in ('-u', '-W'):
        option = arguments.pop(0)
        if option == '-W':
            warnings.simplefilter(arguments.pop(0))
    sys.path[1:1] = environment.get('PYTHONPATH', '').split(os.pathsep)
    if arguments[0] == '-m':
        sys.path[0], sys.argv = folder, arguments[1:]
        runpy.run_module(arguments[1], run_name='__main__', alter_sys=True)
    elif arguments[0] == '-c':
        sys.path[0], sys.argv = '', ['-c', *arguments[2:]]
        sys.modules['__main__'] = main = ModuleType('__main__')
        exec(compile(arguments[1], '<string>', 'exec'), main.__dict__)
    else:
        sys.path[0], sys.argv = str(Path(arguments[0]).resolve().parent), arguments
        runpy.run_path(arguments[0], run_name='__main__')


def exit_code(*request):
    """Run a request; return its exit code, after printing what Python prints."""
    try:
        run(*request)
    except SystemExit as stopped:
        if stopped.code is None or isinstance(stopped.code, int):
            return stopped.code or 0
        print(stopped.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end(code):
    """End this process without deleting all modules, which would take a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    if sys.argv[1] == 'client':
        client(sys.argv[2], sys.argv[3:])
    sys.path[0] = str(Path(__file__).parents[1])  # the checkout, as for pytest
    for name in sys.argv[3:]:
        import_module(name)
    gc.freeze()  # collections in the forked processes then leave the shared memory alone
    end(exit_code(*serve(socket.socket(fileno=int(sys.argv[2])))))
