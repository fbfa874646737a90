"""The sub-commands of `neckfrac`: options in, one call of the engine, words out."""
