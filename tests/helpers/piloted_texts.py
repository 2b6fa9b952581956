"""The project, the stage and the lifecycles that the pilot plays."""

from __future__ import annotations

PROJECT = """
project: p
people: {vera: {roles: [validator]}, vito: {roles: [validator]}, otto: {roles: [operator]}}
roles: {validator: [decide], operator: [operate, override]}
channels: {mlops: {use: log}}
notify_channel: mlops
"""
STAGE = 'stage: PROD\nrequires: {tags: {checked: "yes"}}\n'
CALLED = """
lifecycle: called
services: [s]
initial: only
states:
  only: {steps: [{use: fault.act}], next: end}
  end: {final: true}
"""
WORKING = """
lifecycle: working
services: [s]
data: {seen: {type: integer, default: 0}}
initial: first
states:
  first:
    steps:
      - {use: fault.act, id: quick, undo: {use: fault.act}}
      - {use: fault.pooled, id: slow}
      - {use: fault.later, id: later}
      - {use: fault.broken, retry: {max: 2, backoff: {first: PT0.01S}}}
    next: {done: end, failed: rest}
  rest:
    lease: "{{ service }}"
    timers: {over: {after: PT1H}}
    next: {over: {to: last, set: {seen: "{{ data.seen + 1 }}"}}}
  last: {steps: [{use: fault.act, if: "data.seen == 1"}], next: inner}
  inner: {call: {lifecycle: called}, next: end}
  end: {final: true}
"""
DECIDED = """
lifecycle: decided
services: [s]
initial: ask
states:
  ask:
    task:
      title: "Go on with {{ snapshot.version }}?"
      for: [role:validator]
      exclude: [author]
      quorum: 2
      form: {why: {type: string, maxLength: 20}}
      remind: [PT1H]
      due: P3D
    next: {approve: both, reject: end}
  both:
    branches:
      left:
        initial: wait
        states:
          wait: {signals: [go], next: {go: gone}}
          gone: {steps: [{use: fault.pooled}], next: over}
          over: {final: true}
      right:
        initial: act
        states:
          act: {steps: [{use: fault.parked, retry: {max: 1}}], next: over}
          over: {final: true}
    next: {done: end}
  end: {final: true}
"""
WATCHED = """
lifecycle: watched
services: [s]
monitors:
  gauge:
    use: fault.gauge
    window: {length: P1D}
    warn: {below: 0.5}
    breach: {below: 0.3, datapoints: 2, of: 3}
initial: live
states:
  live:
    stage: PROD
    steps: [{use: fault.deploy}]
    next: {done: serving, refused: no}
  serving:
    timers: {assess: {every: P1D}}
    next: {assess: assess}
  assess:
    verify: [gauge]
    next: {ok: serving, warn: warned, breach: gone, insufficient: serving}
  warned:
    steps: [{use: fault.act, id: told}]
    next:
      done:
        - {if: "monitors.gauge.value < 0.2", to: gone}
        - {to: serving}
  gone: {final: true, outcome: replaced}
  no: {final: true, outcome: rejected}
"""
