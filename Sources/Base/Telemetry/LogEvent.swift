/// Every event of the log; docs/LOGGING.md says what each means, and `make tidy` compares the two. It is a plain value.
package enum LogEvent: String, Sendable, CaseIterable {
  // Buckets
  case bucketsDamaged = "buckets.damaged"
  case bucketsFailed = "buckets.failed"
  case bucketsListen = "buckets.listen"
  case bucketsRestored = "buckets.restored"
  case bucketsSwept = "buckets.swept"
  // ControlAPI
  case apiFailed = "api.failed"
  case apiNotRestored = "api.not_restored"
  case apiRestored = "api.restored"
  case web
  case webFailed = "web.failed"
  case webLogin = "web.login"
  case webNotRestored = "web.not_restored"
  case webOpen = "web.open"
  // Daemon
  case loopSlow = "loop.slow"
  case mountLost = "mount.lost"
  case ready
  case reloadFailed = "reload.failed"
  case reloadShimsFailed = "reload.shims_failed"
  case reloading
  case runtimeNotRestored = "runtime.not_restored"
  case runtimeRestored = "runtime.restored"
  case serviceNoCredentials = "service.no_credentials"
  case settings
  case stopped
  case stopping
  // HostSystem
  case sleepAllowed = "sleep.allowed"
  case sleepHeldOff = "sleep.held_off"
  case sleepNotHeldOff = "sleep.not_held_off"
  // MediaHub
  case mediahubFileDropped = "mediahub.file.dropped"
  case mediahubJobsUnreadable = "mediahub.jobs.unreadable"
  case mediahubLink = "mediahub.link"
  case mediahubRest = "mediahub.rest"
  case mediahubRetry = "mediahub.retry"
  case mediahubToken = "mediahub.token"
  case mediahubTokenRefused = "mediahub.token.refused"
  // OpenFiles
  case cacheCleared = "cache.cleared"
  case cacheDroppedForRoom = "cache.dropped_for_room"
  case cacheLate = "cache.late"
  case cacheSwept = "cache.swept"
  case fileFailed = "file.failed"
  case leasesTakenUp = "leases.taken_up"
  case storeFailed = "store.failed"
  case storeNeedsFile = "store.needs_file"
  case storeStreams = "store.streams"
  case storesLate = "stores.late"
  case windowsTakenUp = "windows.taken_up"
  // ShimHost
  case leaseRevokedTwice = "lease.revoked_twice"
  case mountAborted = "mount.aborted"
  case mountAdopted = "mount.adopted"
  case mountBusy = "mount.busy"
  case mountDetach = "mount.detach"
  case mountDetached = "mount.detached"
  case mountEnded = "mount.ended"
  case mountGone = "mount.gone"
  case mountLeft = "mount.left"
  case mountReady = "mount.ready"
  case mountStale = "mount.stale"
  case mountUnmounted = "mount.unmounted"
  case shim
  case shimDistrusted = "shim.distrusted"
  case shimEnded = "shim.ended"
  case shimGivenUp = "shim.given_up"
  case shimHostile = "shim.hostile"
  case shimKilled = "shim.killed"
  case shimLeft = "shim.left"
  case shimLinked = "shim.linked"
  case shimNotAdopted = "shim.not_adopted"
  case shimNotSpawned = "shim.not_spawned"
  case shimSocketNotHandedOver = "shim.socket_not_handed_over"
  case shimSocketRestored = "shim.socket_restored"
  case shimSpawned = "shim.spawned"
  case shimTakenOver = "shim.taken_over"
  // Staging
  case invalidateLate = "invalidate.late"
  case itemGone = "item.gone"
  case itemPinned = "item.pinned"
  case itemReplaced = "item.replaced"
  case itemStaged = "item.staged"
  case itemUnpinned = "item.unpinned"
  case itemUnstaged = "item.unstaged"
  case journalFailed = "journal.failed"
  case journalRestored = "journal.restored"
  case journalTwice = "journal.twice"
  // Store
  case storeGoesOn = "store.goes_on"
  case storeNoSpace = "store.no_space"
  case storeSourceChanged = "store.source_changed"
  case sumsFailed = "sums.failed"
  // Transfer
  case transferNetworkUnwatched = "transfer.network.unwatched"
  case transferShaken = "transfer.shaken"
}
