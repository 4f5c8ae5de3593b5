// Puts the parts together: what a person does goes one way, what the events say comes the other.

import {showCache, startCache} from "./cache.js";
import {follow} from "./events.js";
import {showFirstRun} from "./firstrun.js";
import {showSpeed, showStatus} from "./head.js";
import {addLatency, moveHeat} from "./heat.js";
import {startJobs} from "./jobs.js";
import {showStream} from "./lost.js";
import {showOutputs} from "./outputs.js";
import {notify} from "./say.js";
import {startStage} from "./stage.js";
import {
  focusItem, isStaged, itemOf, moveSparks, putItem, removeItem, setItems, startTiles, welcome, withNextFrame,
} from "./tiles.js";
import {sentence} from "./words.js";

startTiles(showSpeed);
const jobs = startJobs(showOutputs);
startStage({isStaged, onStaged: welcome});
startCache();

follow(
  {
    snapshot({status, items, cache}) {
      takeStatus(status);
      setItems(items);
      if (cache) showCache(cache);
      performance.mark("snapshot");
    },
    item: putItem,
    gone: ({id}) => removeItem(id),
    status: takeStatus,
    cache: showCache,
    latency: addLatency,
    notice: takeNotice,
  },
  showStream,
);

function takeStatus(status) {
  showStatus(status);
  showFirstRun(status.service, jobs.reload);
}

function takeNotice({level, message, id}) {
  const item = id && itemOf(id);
  if (!item) return notify(level, sentence(message));
  const action = {label: "Show", run: () => focusItem(id)};
  const start = `${item.name}: `;
  if (message.startsWith(start)) notify(level, sentence(message.slice(start.length)), {about: start.trim(), action});
  else notify(level, sentence(message), {action});
}

setInterval(() => {
  withNextFrame(() => {
    moveSparks();
    moveHeat();
  });
}, 1000);
