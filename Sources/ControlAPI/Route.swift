import ControlModel

/// What a request's method and target ask for. `Route+Table` says where each stands.
enum Route: Equatable {
  // The API, under /api/v1.
  case status
  case events(after: String?)
  case jobs(search: String?, start: Int, limit: Int)
  case job(String)
  case staged
  case item(String)
  case stage
  case unstage(String)
  case unstageAll
  case pin(String)
  case cache
  case clearCache
  case trace
  case recipients
  case configuration
  case logLevel
  case setLogLevel
  case login
  case restartShim
  case killShim
  case reload
  case stop
  // Outside of it.
  case health
  case readiness
  /// A file of the page, by its path.
  case page(String)
  /// A login's link, with its code.
  case enter(String)

  /// For the log: without what was asked for.
  var name: String {
    switch self {
    case .status: "status"
    case .events: "events"
    case .jobs: "jobs"
    case .job: "job"
    case .staged: "staged"
    case .item: "staged item"
    case .stage: "stage"
    case .unstage: "unstage"
    case .unstageAll: "unstage all"
    case .pin: "pin"
    case .cache: "cache"
    case .clearCache: "cache clear"
    case .trace: "trace"
    case .recipients: "recipients"
    case .configuration: "config"
    case .logLevel: "log"
    case .setLogLevel: "log level"
    case .login: "login"
    case .restartShim: "shim restart"
    case .killShim: "shim kill"
    case .reload: "reload"
    case .stop: "stop"
    case .health: "health"
    case .readiness: "readiness"
    case .page: "page"
    case .enter: "enter"
    }
  }

  /// What a `noSuch` of staging or of MediaHub is about.
  var missing: ControlError.Code {
    switch self {
    case .stage, .job: .noSuchFile
    default: .noSuchItem
    }
  }
}
