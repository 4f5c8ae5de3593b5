/// The media type of a file, guessed from its name. It is a pure function; the table has the types that browsers and
/// players ask for.
enum MimeType {
  static let unknown = "application/octet-stream"

  static func of(_ name: BucketName) -> String {
    guard let dot = name.bytes.lastIndex(of: 0x2e), dot > 0 else { return unknown }
    return types[String(decoding: name.bytes[(dot + 1)...], as: UTF8.self).lowercased()] ?? unknown
  }

  private static let types: [String: String] = [
    "txt": "text/plain", "md": "text/markdown", "csv": "text/csv", "html": "text/html", "htm": "text/html",
    "css": "text/css", "js": "text/javascript", "mjs": "text/javascript", "json": "application/json",
    "xml": "text/xml", "yaml": "application/yaml", "yml": "application/yaml", "toml": "application/toml",
    "log": "text/plain", "ics": "text/calendar", "vtt": "text/vtt", "srt": "application/x-subrip",
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "avif": "image/avif", "svg": "image/svg+xml", "bmp": "image/bmp", "ico": "image/x-icon", "tif": "image/tiff",
    "tiff": "image/tiff", "heic": "image/heic", "psd": "image/vnd.adobe.photoshop",
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "flac": "audio/flac", "ogg": "audio/ogg",
    "oga": "audio/ogg", "opus": "audio/opus", "wav": "audio/wav", "mid": "audio/midi", "aiff": "audio/aiff",
    "mp4": "video/mp4", "m4v": "video/mp4", "mov": "video/quicktime", "webm": "video/webm",
    "mkv": "video/x-matroska", "avi": "video/x-msvideo", "mpg": "video/mpeg", "mpeg": "video/mpeg",
    "ts": "video/mp2t", "mxf": "application/mxf", "m3u8": "application/vnd.apple.mpegurl",
    "pdf": "application/pdf", "rtf": "application/rtf", "epub": "application/epub+zip",
    "doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "zip": "application/zip", "tar": "application/x-tar", "gz": "application/gzip", "bz2": "application/x-bzip2",
    "xz": "application/x-xz", "zst": "application/zstd", "7z": "application/x-7z-compressed",
    "rar": "application/vnd.rar", "iso": "application/x-iso9660-image", "sqlite": "application/vnd.sqlite3",
    "wasm": "application/wasm", "ttf": "font/ttf", "otf": "font/otf", "woff": "font/woff", "woff2": "font/woff2",
  ]
}
