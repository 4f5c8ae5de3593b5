import Core

/// Ten seconds of H.264 that any decoder plays, made of the format's two simplest parts: I_PCM macroblocks (the samples
/// themselves) and skipped ones (the picture before). A bright bar crosses the picture once a second; the bottom row
/// shows the recipient's tag as sixteen shades, so that two recipients' copies look different and have the same length.
/// These are pure functions and constants.
enum VideoTrack {
  static let columns = 16
  static let rows = 9
  static let width = columns * 16
  static let height = rows * 16
  static let frameRate = 15
  static let seconds = 10
  static let frameCount = frameRate * seconds
  static let milliseconds = Int64(seconds * 1000)

  /// Constrained baseline, level 3.1; frame_num of 8 bits, output in decoding order.
  static let sps: [UInt8] = {
    var out = BitWriter(nalHeader: 0x67)
    out.u(8, 66)
    out.u(8, 0xc0)
    out.u(8, 31)
    out.ue(0)  // seq_parameter_set_id
    out.ue(4)  // log2_max_frame_num_minus4
    out.ue(2)  // pic_order_cnt_type
    out.ue(1)  // max_num_ref_frames
    out.u(1, 0)  // gaps_in_frame_num_value_allowed_flag
    out.ue(UInt32(columns - 1))
    out.ue(UInt32(rows - 1))
    out.u(1, 1)  // frame_mbs_only_flag
    out.u(1, 1)  // direct_8x8_inference_flag
    out.u(1, 0)  // frame_cropping_flag
    out.u(1, 0)  // vui_parameters_present_flag
    out.finish()
    return out.bytes
  }()

  /// CAVLC, one slice group, and the deblocking filter under the slice's control.
  static let pps: [UInt8] = {
    var out = BitWriter(nalHeader: 0x68)
    out.ue(0)  // pic_parameter_set_id
    out.ue(0)  // seq_parameter_set_id
    out.u(1, 0)  // entropy_coding_mode_flag
    out.u(1, 0)  // bottom_field_pic_order_in_frame_present_flag
    out.ue(0)  // num_slice_groups_minus1
    out.ue(0)  // num_ref_idx_l0_default_active_minus1
    out.ue(0)  // num_ref_idx_l1_default_active_minus1
    out.u(3, 0)  // weighted_pred_flag, weighted_bipred_idc
    out.seZero()  // pic_init_qp_minus26
    out.seZero()  // pic_init_qs_minus26
    out.seZero()  // chroma_qp_index_offset
    out.u(1, 1)  // deblocking_filter_control_present_flag
    out.u(2, 0)  // constrained_intra_pred_flag, redundant_pic_cnt_present_flag
    out.finish()
    return out.bytes
  }()

  /// The colours of the picture, which depend on the file and its recipient.
  struct Look {
    /// Background colour.
    var chroma: (blue: UInt8, red: UInt8) = (128, 128)
    /// Shades of the bottom row, from the left.
    var shades = [UInt8](repeating: 128, count: columns)

    init() {}

    init(id: String, tag: String) {
      var file = StableHash()
      file.combine(id.utf8)
      chroma = (96 + UInt8(file.value & 63), 96 + UInt8(file.value >> 8 & 63))
      var recipient = StableHash()
      recipient.combine(id.utf8)
      recipient.combine(tag.utf8)
      var random = SplitMix(state: recipient.value)
      let bits = random.next()
      shades = (0..<columns).map { 40 + UInt8(bits >> UInt64($0 * 4) & 15) * 12 }
    }
  }

  /// Size of each sample in the file, in bytes; the same for every look.
  static let sampleSizes: [Int] = (0..<frameCount).map { sample($0, look: Look()).count }

  static func isKeyFrame(_ index: Int) -> Bool { index % frameRate == 0 }

  /// One access unit as MP4 stores it: a NAL unit behind its length.
  static func sample(_ index: Int, look: Look) -> [UInt8] {
    let unit = isKeyFrame(index) ? keyFrame(index, look) : changedFrame(index, look)
    return bigEndian(UInt32(unit.count)) + unit
  }

  private static func keyFrame(_ index: Int, _ look: Look) -> [UInt8] {
    var out = BitWriter(nalHeader: 0x65, capacity: columns * rows * 386 + 16)
    header(&out, frame: 0, type: 7)
    out.ue(UInt32(index / frameRate % 2))  // idr_pic_id
    out.u(2, 0)  // no_output_of_prior_pics_flag, long_term_reference_flag
    out.seZero()  // slice_qp_delta
    out.ue(1)  // disable_deblocking_filter_idc
    for row in 0..<rows {
      for column in 0..<columns {
        out.ue(25)  // mb_type I_PCM
        macroblock(&out, column, row, bar: index % columns, look)
      }
    }
    out.finish()
    return out.bytes
  }

  /// The bar one column on: two columns of macroblocks are new, all others skipped.
  private static func changedFrame(_ index: Int, _ look: Look) -> [UInt8] {
    var out = BitWriter(nalHeader: 0x61, capacity: 2 * rows * 388 + 16)
    header(&out, frame: UInt32(index % frameRate), type: 5)
    out.u(1, 0)  // num_ref_idx_active_override_flag
    out.u(1, 0)  // ref_pic_list_modification_flag_l0
    out.u(1, 0)  // adaptive_ref_pic_marking_mode_flag
    out.seZero()  // slice_qp_delta
    out.ue(1)  // disable_deblocking_filter_idc
    let bar = index % columns
    let changed = [bar, (index - 1) % columns].sorted()
    var skipped: UInt32 = 0
    for row in 0..<rows {
      for column in 0..<columns {
        guard row < rows - 1, changed.contains(column) else {
          skipped += 1
          continue
        }
        out.ue(skipped)  // mb_skip_run
        skipped = 0
        out.ue(30)  // mb_type: 5 inter types, then I_PCM
        macroblock(&out, column, row, bar: bar, look)
      }
    }
    out.ue(skipped)
    out.finish()
    return out.bytes
  }

  private static func header(_ out: inout BitWriter, frame: UInt32, type: UInt32) {
    out.ue(0)  // first_mb_in_slice
    out.ue(type)
    out.ue(0)  // pic_parameter_set_id
    out.u(8, frame)
  }

  private static func macroblock(_ out: inout BitWriter, _ column: Int, _ row: Int, bar: Int, _ look: Look) {
    out.align()  // pcm_alignment_zero_bit
    let isMark = row == rows - 1
    let isBar = !isMark && column == bar
    out.samples(isMark ? look.shades[column] : isBar ? 225 : UInt8(50 + row * 12), count: 256)
    out.samples(isMark || isBar ? 128 : look.chroma.blue, count: 64)
    out.samples(isMark || isBar ? 128 : look.chroma.red, count: 64)
  }
}

func bigEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
