/// The text of `--help`, made of `BehaviourFlag`: a constant.
extension MediaHubSimProgram {
  /// Each flag once: those of `Behaviour` come from their table.
  package static let usage = """
    usage: mediahub-sim [options]
    A MediaHub that serves files which do not exist, on 127.0.0.1. Prints "ready base=URL" when it listens; ends on SIGTERM or SIGINT.
    docs/SIMULATOR.md says more. TIME and SECONDS are as 80ms, 2.5s or 10m; a bare number is seconds.

      --port N                     the port; 0, the default, is any free one
      --demo                       the demo catalog: some 25 jobs, up to 6 GiB
      --file ID:SIZE:NAME          a file of noise; ID is 24 hex digits; may be repeated
      --video ID:SIZE:NAME         an MP4 that plays, from 2 MiB on; with its index last where NAME ends in .mov
      --client-id ID               demo-client by default
      --client-secret SECRET       demo-secret by default; base64 where requests are to be signed with it
      --help

    The storage's own port, and TLS (PEM files):
      --separate-storage           links lead to a second port, which can stop listening (refuse)
      --storage-port N             that port; implies --separate-storage
      --tls-cert FILE              with --tls-key FILE: the API, and the storage unless it has its own
      --tls-key FILE
      --storage-tls-cert FILE      with --storage-tls-key FILE: the storage alone; implies --separate-storage
      --storage-tls-key FILE

    Behaviour:

    """
    + BehaviourFlag.all.map { line($0.placeholder.isEmpty ? $0.name : "\($0.name) \($0.placeholder)", $0.help) }
    .joined() + """

      Faults:
        --fault KIND[,KEY=VALUE...]  may be repeated; of several that match, the first given happens
        --seed N                     of the dice of faults with a probability; 1 by default

        cut,after=BYTES              the connection ends (FIN) within the body
        reset,after=BYTES            the same by a TCP reset; after 0 bytes without headers
        stall,after=BYTES[,for_ms=]  nothing more comes, for ever or for a while
        short,bytes=N                a body of N bytes, whatever its Content-Range says
        long,bytes=N,as=HOW          N bytes too many: as junk (default) after the answer, with a length that counts them, chunked, or to the close
        status,status=N[,retry_after=SECONDS]
        delay,ms=N                   before the headers
        slow,rate=BYTES              this answer, a second
        whole_body                   200 and the whole file for a range
        wrong_start,by=N             the Content-Range says another place
        wrong_total,by=N             the Content-Range says another size
        other_etag                   another ETag on the same bytes
        change                       the file becomes another for good
        shifted,by=N                 the bytes of another place
        html_page                    a page with 200
        html_range                   HTML of the length of the range with 206
        gzip                         a Content-Encoding that is not true
        header,name=N,value=V,as=HOW a header line, as=more (default) or as=instead of those of its name; {first}, {last}, {total} in V
        part,bytes=N                 the first N bytes of the range, and the Content-Range says so
        wide,by=N                    N bytes more on either side, and the Content-Range says so
        malformed                    half a body, a Location that is no URL
        missing                      a body without its important fields, a 302 without Location

        Keys of all: route=token|jobs|job|files|downloads|storage (default storage), file=ID, count=N (default 1; 0 without end), skip=N,
        from=BYTES, until=BYTES (of the range's start), probability=0..1, seed=N, for_ms=N (active so long; for a stall active_ms=N). With a
        probability or a time, the default count is without end.

      Admin routes, JSON bodies: POST /_sim/set, fault, refuse, silence, gate, release, revoke, change, file, reset;
      GET /_sim/stats, /_sim/content?file=&tag=.

      """

  private static func line(_ flag: String, _ help: String) -> String {
    let column = 29
    let gap =
      flag.count + 2 < column
      ? String(repeating: " ", count: column - flag.count - 2) : "\n" + String(repeating: " ", count: column)
    return "  \(flag)\(gap)  \(help)\n"
  }
}
