/**
 * Descriptors that Node.js cannot make (AF_XDP sockets, pidfds, sockets with `SO_REUSEPORT`): python3
 * makes them, and sends them over the channel that Node.js has to its children (unix(7),
 * `SCM_RIGHTS`).
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const PRELUDE = `
import array, json, os, socket, struct

channel = socket.socket(fileno=int(os.environ['NODE_CHANNEL_FD']))
channel.setblocking(True)

def send(fd, message):
    line = json.dumps(message) + '\\n'
    rights = array.array('i', [fd])
    channel.sendmsg([line.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

# Node.js leaves a descriptor alone of which it does not know the kind; its link tells which it is. Before
# Linux 6.9 that is the same for all pidfds, which tell their process.
def send_unknown(fd):
    with open(f'/proc/self/fdinfo/{fd}') as info:
        pid = [line.strip() for line in info if line.startswith('Pid:')]
    send(fd, {'link': os.readlink(f'/proc/self/fd/{fd}'), 'pid': ''.join(pid)})

# Node.js makes a net.Server or a dgram.Socket of the descriptor.
def send_socket(fd, kind, **more):
    send(fd, {'cmd': 'NODE_HANDLE', 'type': kind, 'msg': kind, **more})

`;

/** A child that sends descriptors. Close it, or declare it with `using`: that closes them too. */
export class ForeignProcess {
  readonly #child: ChildProcess;
  readonly #received: { readonly message: unknown; readonly handle: unknown }[] = [];
  #wake: () => void = () => {};

  /**
   * @param script what it does: `send_unknown(fd)`, `send_socket(fd, 'net.Server')`
   * @param fds descriptors that the child has as 4 and following
   */
  constructor(script: string, fds: readonly number[] = []) {
    const wait = '\nwhile channel.recv(4096): pass\n';
    this.#child = spawn('python3', ['-c', PRELUDE + script + wait], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...fds],
    });
    this.#child.on('message', (message, handle) => {
      this.#received.push({ message, handle });
      this.#wake();
    });
    this.#child.on('exit', () => this.#wake());
  }

  /** The next descriptor of a kind unknown to Node.js. It is closed with the child. */
  async fd(): Promise<number> {
    const { message } = await this.#next();
    const { link, pid } = message as { link: string; pid: string };
    for (const name of readdirSync('/proc/self/fd')) {
      try {
        const info = readFileSync(`/proc/self/fdinfo/${name}`, 'latin1');
        const [itsPid = ''] = /^Pid:.*$/m.exec(info) ?? [];
        if (readlinkSync(`/proc/self/fd/${name}`) === link && itsPid.trim() === pid) {
          return Number(name);
        }
      } catch {
        // The descriptor that lists the directory is gone by now.
      }
    }
    throw new Error('the descriptor did not arrive');
  }

  /** The next socket; the caller's to close. */
  async socket<T>(): Promise<T> {
    return (await this.#next()).handle as T;
  }

  close(): void {
    this.#child.kill();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #next() {
    while (this.#received.length === 0) {
      if (this.#child.exitCode !== null) {
        throw new Error(`python3 ended with status ${this.#child.exitCode}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#received.shift()!;
  }
}
