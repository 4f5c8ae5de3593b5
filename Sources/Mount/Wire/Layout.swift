// Offsets of the fields that Swift reads or writes, as `fsmvp_wire.h` asserts them. `LayoutTests` compares them with
// the imported structs. They are constants; `SharedBytes` makes the accesses.

enum HeaderField {
  static let volumeFlags = 24
  static let workers = 28
  static let active = 40
  static let standby = 48
  static let control = 56
  static let epoch = 64
  static let heartbeat = 72
  static let released = 80
  static let slotsHigh = 88
  static let handlesHigh = 92
  static let leasesHigh = 96
  static let statfsBlocks = 112
  static let statfsFree = 120
  static let statfsFiles = 128
  static let countLeased = 144
  static let countForwarded = 152
  static let countSlotsFull = 160
  static let countHandlesFull = 168
  static let countHostile = 176
  static let countCancelled = 184
  static let bytesLeased = 192
  static let connection = 216
  static let sections = 224
  static let mountpoint = 1504
  static let volume = 2528
  static let killedAt = 2536
  static let outage = 2544
  static let answered = 2552
  static let windowGeneration = 2752
  static let epochs = 2768
}

enum SlotField {
  static let op = 0
  static let flags = 4
  static let node = 16
  static let handle = 24
  static let arg0 = 32
  static let arg1 = 40
  static let arg2 = 48
  static let error = 56
  static let length = 60
  static let lease = 64
  static let submittedAt = 88
  static let pickedAt = 96
  static let completedAt = 104
  /// name_offset (16 bits), name_length (16 bits), raw_length (32 bits), read as one word.
  static let nameAndRaw = 120
  static let attributes = 128
  static let windowGeneration = 192
  static let raw = 208
}

enum HandleField {
  static let word = 0
  static let node = 8
  static let bytes = 32
  static let cursor = 40
  static let pid = 48
}

enum LeaseField {
  static let generation = 0
  static let root = 4
  static let node = 8
  static let length = 16
  static let mapOffset = 24
  static let mapWords = 32
  static let blockShift = 36
  static let flags = 40
  static let nameLength = 44
  static let name = 48
  static let version = 112
}

enum HistogramField {
  static let count = 0
  static let max = 16
  static let buckets = 64
}
